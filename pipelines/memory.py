"""Keeps the memory that a training step frees for the next step, which needs the same."""

from __future__ import annotations

import ctypes
import platform

# parameters of glibc's mallopt(3)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST = 2**31 - 1  # the largest value it takes


def keep_freed_memory() -> bool:
    """Lets malloc keep freed memory in the process; returns whether it does, which takes Linux with glibc.

    By default every large tensor is mapped afresh from the kernel, page by page, and unmapped when it is
    freed. On a CPU that was a third of the time of training a CNN on camera frames
    (`tests/benchmarks/test_memory_speed.py`).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, MOST) and mallopt(M_TRIM_THRESHOLD, MOST))
