"""What can go wrong: a message of one line, a hint what to do, and an exit code.

Every failure that the toolbox foresees is a :class:`ToolboxError`. The command line prints its text and ends
with its ``exit_code``; a notebook sees an ordinary exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_QUARANTINED = 3
EXIT_REFUSED = 4
EXIT_INTERRUPTED = 130


class ToolboxError(Exception):
    """A foreseen failure. ``hint`` says what the user can do; ``exit_code`` is the process's."""

    exit_code = EXIT_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class EnvironmentFailure(ToolboxError):
    """The machine's part failed: disk, network, permission, memory, a lock held by another process."""

    exit_code = EXIT_FAILED


class Interrupted(ToolboxError):
    """The user interrupted work that can be resumed."""

    exit_code = EXIT_INTERRUPTED


class WeightsUnavailable(EnvironmentFailure):
    """Pretrained weights are needed and not available."""


class UsageError(ToolboxError):
    """Wrong usage, configuration, or shape of the dataset."""

    exit_code = EXIT_USAGE


class PluginError(UsageError):
    """A plugin broke its contract (a bad descriptor, a wrong return value)."""


class ComponentError(PluginError):
    """A component failed while it was used, or returned something else than its protocol says."""

    exit_code = EXIT_FAILED


class Refused(ToolboxError):
    """A safety check refuses the operation (because of a leak, say)."""

    exit_code = EXIT_REFUSED


def closest(name: str, known: Iterable[str]) -> str:
    """``name``'s nearest neighbour among ``known``, as a hint ("did you mean …?"), or ``""``."""
    known = sorted(known)
    match = get_close_matches(name, known, n=1, cutoff=0.5)
    if match:
        return f"Did you mean {match[0]!r}?"
    return f"Known: {', '.join(known)}." if 0 < len(known) <= 30 else ""
