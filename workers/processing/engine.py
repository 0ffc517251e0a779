"""libvips, set up once for a process that decodes what strangers sent. Only the zygote imports this.

Nothing here may run an image operation: libvips starts threads at its first one and hangs in a child that is
forked after it (a test counts the threads).
"""

import pyvips

pyvips.cache_set_max(0)
"""A child makes each image once; the operation cache would only keep decoded pixels alive."""

pyvips.block_untrusted_set(True)
pyvips.operation_block_set("VipsForeignLoad", True)


def allow_loader(loader: str) -> None:
    """Unblock one loader class of libvips in this process; all others stay shut."""
    pyvips.operation_block_set(loader, False)


_MEMORY_WORDS = (
    "out of memory",
    "memory allocation",
    "insufficient memory",
    "unable to allocate",
    "temporarily unavailable",  # a thread whose stack does not fit any more
)


_REFUSAL = "security limit"
"""libheif files sizes that contradict each other under "Memory allocation error" too."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a decoder gave up for want of memory. libvips, libjpeg and libheif only say so in prose."""
    text = str(error).lower()
    said = _REFUSAL not in text and any(words in text for words in _MEMORY_WORDS)
    return said or isinstance(error, MemoryError)
