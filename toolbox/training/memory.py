"""Tunes glibc's malloc for training, where every step needs the memory again that the last one freed."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Options of mallopt from glibc's malloc.h, with their defaults.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _TOP_PAD: 128 * 1024, _MMAP_MAX: 65_536}
_KEEPING = {_TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 2**20, _MMAP_MAX: 0}


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let glibc serve large blocks from its heap, and keep freed ones, until the block ends.

    By default it maps every large tensor anew, and the system clears its pages on first touch. An epoch of
    ``alzheimer-cnn`` then takes about half as much processor time again: see the row "glibc's defaults" of
    ``tests/benchmarks/epoch.py``. Does nothing on other systems.
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
