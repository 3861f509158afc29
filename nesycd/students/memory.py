"""Memory: freed memory is kept in the process, so that the next training step need not request it from the kernel again.

glibc returns free memory at the end of its heap to the kernel. A training step frees nearly all that it allocated, and the next
one gets fresh pages, which the kernel must clear: this takes a tenth of the time and more (docs/log.md).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""
_NEVER = (1 << 31) - 1
_LARGEST = 32 << 20
"""Bytes. Keeping larger blocks too would save as much again, but fragmentation would double the memory."""
_SERVED = 1 << 20
"""Bytes from which blocks are returned while answers come and go."""
_NO_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory: you tried to allocate",  # on Windows
    "MPS backend out of memory",
)
"""Messages of torch's allocators that raise plain RuntimeErrors."""


@cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory; return whether that succeeded. Results do not change, only the time.

    The process keeps its peak size, as training in steps of similar size would anyway.
    """
    return _tell_malloc(_LARGEST, _NEVER)


def return_freed_memory() -> bool:
    """Tell glibc to return large blocks to the kernel again; return whether that succeeded.

    The caches of answers that come and go (`ContinuousBatch`) have ever other sizes, which would leave ever other gaps.
    """
    return _tell_malloc(_SERVED, _SERVED)


def _tell_malloc(mmap_threshold: int, trim_threshold: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        # Another C library (musl).
        return False
    return all([mallopt(_MMAP_THRESHOLD, mmap_threshold), mallopt(_TRIM_THRESHOLD, trim_threshold)])


def is_out_of_memory(error: Exception) -> bool:
    """Whether a torch error means out of memory; some allocators have only a message for it, no class."""
    return type(error).__name__ == "OutOfMemoryError" or any(message in str(error) for message in _NO_MEMORY)
