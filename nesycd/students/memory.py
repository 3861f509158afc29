"""Memory: freed memory is kept in the process, so that the next training step need not request it from the kernel again.

glibc returns free memory at the end of its heap to the kernel. A training step frees nearly all that it allocated, and the next
one gets fresh pages, which the kernel must clear: this takes a tenth of the time and more (docs/log.md).
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container's limits."""
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

    The process keeps its peak size, as training in steps of similar size would anyway; `KeptMemory` bounds it for others, and
    `give_back` ends it.
    """
    return _tell_malloc(_LARGEST, _NEVER)


class KeptMemory:
    """Bounds what is kept: texts of ever other lengths leave ever other gaps, which made a process of 6 GB one of 15.

    Args:
        most: bytes of the process from which all freed memory is returned once; not given: half of the machine's memory, or of
            its container's.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = machine_memory() // 2 if most is None else most

    def bound(self) -> bool:
        """Return the freed memory to the kernel if the process is too large; whether that was done.

        What it needs may be more than that: the next time is when it has grown by half.
        """
        if (size := resident()) is None or size <= self.most:
            return False
        if not give_back():
            return False
        self.most = max(self.most, (resident() or 0) * 3 // 2)
        return True


def give_back() -> bool:
    """Return all memory that is free to the kernel, once; whether that was done. Takes half a second for 6 GB."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return False
    return True


def resident() -> int | None:
    """Bytes of memory that this process has now; None where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def machine_memory() -> int:
    """Bytes of the machine, or of this container where it may have fewer."""
    import psutil  # peft brings it along

    total, limit = int(psutil.virtual_memory().total), container_limit()
    return total if limit is None else min(total, limit)


def container_limit(root: Path = CGROUP) -> int | None:
    """Bytes that this container may have; None where there is no limit. `root`: of its control group."""
    try:
        return int((root / "memory.max").read_text())
    except (OSError, ValueError):
        return None


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
