"""Bounds of a request's head. Core room.

Ours and not the parser's: one of uvicorn's takes any number of bytes, and the other answers in plain text.
"""

MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
"""What nginx (4 x 8 KiB) and Apache (100 fields) take, about; tokens and cookies of real clients fit."""
MAX_TARGET_BYTES = 16 * 1024
"""Of path and query; a signed URL has 300 bytes, a list of a hundred filters less than this."""
