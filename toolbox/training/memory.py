"""Memory that a step frees is kept for the next step, which needs as much of it again."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# From glibc's malloc.h, with its defaults.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _TOP_PAD: 128 * 1024, _MMAP_MAX: 65_536}
_KEEPING = {_TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 2**20, _MMAP_MAX: 0}


@contextmanager
def kept() -> Iterator[None]:
    """Have glibc hand large blocks out of its heap, and not give them back to the system, while the block runs.

    Otherwise it maps every large tensor anew, and the system clears its pages at each first touch: nearly a
    quarter of the processor time of ``alzheimer-cnn``'s training, measured on a virtual machine with Linux. Elsewhere
    this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    for option, value in _KEEPING.items():
        library.mallopt(option, value)
    try:
        yield
    finally:
        for option, value in _DEFAULTS.items():
            library.mallopt(option, value)
        library.malloc_trim(0)
