"""What the factory of an engine returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Engine(ABC):
    """Decides where work runs: in this process, in several, on a cluster. The results never depend on it."""

    def start(self, modules: Sequence[str] = ()) -> None:  # noqa: B027 - doing nothing is fine
        """Start workers while the caller still prepares the items; ``modules`` are worth importing meanwhile."""

    def close(self) -> None:  # noqa: B027 - doing nothing is fine
        """Stop workers that :meth:`start` started and :meth:`map` never used."""

    @abstractmethod
    def map(self, work: Callable[[T], R], items: Iterable[T], *, finish: bool = True) -> Generator[R, None, None]:
        """Yield ``work(item)`` for each item, in order; ``work``, items and results can be pickled.

        Take items as they are needed, a bounded number ahead of the results. An item may be computed twice. What
        ``work`` raises is raised here. Closing the generator stops everything and returns once no work is running:
        items in progress are finished first, or with ``finish=False`` abandoned.
        """
