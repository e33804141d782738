"""The engine ``sketch``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, TypeVar

from pydantic import Field

from toolbox.api.engine import Engine

T = TypeVar("T")
R = TypeVar("R")


class SketchEngine(Engine):
    """Runs in a few threads of this process."""

    def __init__(self, *, threads: Annotated[int, Field(ge=1, le=64, description="how many threads")] = 2) -> None:
        self.threads = threads

    def map(self, work: Callable[[T], R], items: Iterable[T], *, finish: bool = True) -> Generator[R, None, None]:
        """Results in the order of the items, with at most twice as many items in progress as there are threads."""
        waiting: deque[Future[R]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                for item in items:
                    waiting.append(pool.submit(work, item))
                    if len(waiting) >= 2 * self.threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)
