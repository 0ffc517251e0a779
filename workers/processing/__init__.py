"""Pure media processing: paths and numbers in, paths and numbers out. Worker room.

What a worker process imports (`sandbox`, `results`, `limits`) never loads a decoder; only the zygote does.
"""
