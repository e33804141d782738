"""What the factory of a tracker returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Tracker(ABC):
    """Is told of one run as it happens, and writes that elsewhere; see :mod:`toolbox.training.trackers`.

    Whatever it raises is reported once; training continues without the tracker.
    """

    @abstractmethod
    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """A training starts or resumes.

        ``folder``: the run's; ``record``: its ``run.json`` so far; ``history``: the epochs behind it (lines of
        ``metrics.jsonl``), empty unless it resumes.
        """

    @abstractmethod
    def epoch(self, line: Mapping[str, Any]) -> None:
        """An epoch is done; ``line`` as in ``metrics.jsonl``. Its stages count their epochs from 1 each."""

    @abstractmethod
    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
        """It is over: ``record["status"]`` is finished, interrupted or failed.

        ``evaluation``: ``evaluation.json`` of a finished run.
        """
