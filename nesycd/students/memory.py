"""Freed memory stays with the process, so that the next training step need not ask the kernel for it again.

glibc gives large blocks back as soon as they are freed. A step of training or decoding allocates hundreds of them, and each comes
back as fresh pages, which the kernel clears one by one: on 2 virtual cores that took a fifth of the time (docs/log.md).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""
_NEVER = (1 << 31) - 1
_LARGEST = 32 << 20
"""Bytes. Larger blocks are few, and kept they would leave holes that no other block fits into: twice the memory."""


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
