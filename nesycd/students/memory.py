"""Freed memory stays with the process, so that the next training step need not ask the kernel for it again.

glibc gives memory at the end of its heap back as soon as much of it is free. A step of training frees nearly all that it
allocated, and the next one gets fresh pages, which the kernel clears one by one: a tenth of the time and more (docs/log.md).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""
_NEVER = (1 << 31) - 1
_LARGEST = 32 << 20
"""Bytes. Larger blocks are few; kept too, they save as much again, but leave holes that nothing fits into: twice the memory."""


@cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed; return whether it is there and agrees. Results do not change, only the time.

    The process stays as large as it once was, which a process that trains in steps of like size would anyway.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        # Another C library (musl).
        return False
    return all([mallopt(_MMAP_THRESHOLD, _LARGEST), mallopt(_TRIM_THRESHOLD, _NEVER)])
