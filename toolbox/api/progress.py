"""How computing code tells of its progress without printing.

Code below the command line is handed a :class:`Reporter`; the command line hands in one that draws bars, a
notebook or a test the silent default.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Task(Protocol):
    """One bar: something with a number of steps, known or not."""

    def advance(self, steps: int = 1) -> None:
        """Say that ``steps`` more are done."""

    def describe(self, text: str) -> None:
        """Change what stands beside the bar."""

    def close(self) -> None:
        """Take the bar away."""


class Reporter(Protocol):
    """Where computing code sends what a person might want to see."""

    def task(self, description: str, total: int | None = None, unit: str = "") -> Task:
        """Begin a bar of ``total`` steps, counted in ``unit`` (images, say)."""

    def info(self, text: str) -> None:
        """Say something worth a line."""

    def warn(self, text: str) -> None:
        """Say something that the user should not miss."""


class _SilentTask:
    def advance(self, steps: int = 1) -> None:
        return None

    def describe(self, text: str) -> None:
        return None

    def close(self) -> None:
        return None


class SilentReporter:
    """Draws nothing and keeps what was said in ``infos`` and ``warnings``."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def task(self, description: str, total: int | None = None, unit: str = "") -> Task:
        """A bar that is not shown."""
        return _SilentTask()

    def info(self, text: str) -> None:
        """Keep ``text``."""
        self.infos.append(text)

    def warn(self, text: str) -> None:
        """Keep ``text``."""
        self.warnings.append(text)


def tracked(items: Iterable[T], reporter: Reporter, description: str, total: int, unit: str) -> Iterator[T]:
    """``items``, with a bar that advances with each one."""
    task = reporter.task(description, total, unit)
    try:
        for item in items:
            yield item
            task.advance()
    finally:
        task.close()
