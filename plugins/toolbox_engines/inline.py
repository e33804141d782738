"""The ``inline`` engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from toolbox.api.engine import Engine
from toolbox.api.threads import map_in_threads

T = TypeVar("T")
R = TypeVar("R")


class Inline(Engine):
    """Runs in threads of this process: decoding, warping and writing release the interpreter."""

    def map(self, work: Callable[[T], R], items: Iterable[T], *, finish: bool = True) -> Generator[R, None, None]:
        """See :class:`toolbox.api.engine.Engine`; threads can't be stopped, so items in progress always finish."""
        yield from map_in_threads(work, items)
