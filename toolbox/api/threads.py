"""Decoding, warping and writing release the interpreter: threads are enough to keep the cores busy."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_in_threads(work: Callable[[T], R], items: Iterable[T], ahead: int = 0) -> Iterator[R]:
    """Yield ``work`` of each item, in order.

    At most ``ahead`` items (default: four per thread) are in progress or finished before the caller asks for them,
    so that memory stays bounded.
    """
    workers = min(8, os.cpu_count() or 1)
    rest = iter(items)
    pool = ThreadPoolExecutor(workers)
    try:
        waiting: deque[Future[R]] = deque(pool.submit(work, item) for item in islice(rest, ahead or 4 * workers))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(rest, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
