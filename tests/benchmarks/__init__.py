"""`make bench`: the service beside what users would write instead, interleaved in one run.

Every figure is a ratio of medians; absolute figures depend on the machine and on what else it does. The CPU
of a contender is that of its whole process tree, the client's is reported apart.
"""
