"""Inform trackers (TensorBoard, MLflow, a plugin's) of a run as it happens. None of them can stop a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolbox.api.progress import Reporter, SilentReporter
from toolbox.api.tracker import Tracker
from toolbox.plugin import guard
from toolbox.plugin.loader import describe_error
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.settings.schema import ComponentSpec


class Trackers:
    """Several trackers as one; one that fails is reported once and then dropped."""

    def __init__(self, trackers: Mapping[str, Tracker] | None = None, reporter: Reporter | None = None) -> None:
        self._trackers = dict(trackers or {})
        self._reporter = reporter or SilentReporter()
        self._begun = False

    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """See :meth:`Tracker.started`."""
        self._begun = True
        self._notify("started", folder, record, history)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """See :meth:`Tracker.epoch`."""
        self._notify("epoch", line)

    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None = None) -> None:
        """See :meth:`Tracker.ended`; does nothing for a run that never began."""
        if self._begun:
            self._notify("ended", record, evaluation)

    def _notify(self, event: str, *arguments: Any) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                with guard.guard(tracker):
                    getattr(tracker, event)(*arguments)
            except Exception as error:
                del self._trackers[name]
                self._reporter.warn(f"the tracker {name} gets nothing more of this run: {describe_error(error)}")


def build_trackers(specs: Sequence[ComponentSpec], registry: Registry, reporter: Reporter) -> Trackers:
    """The trackers that ``specs`` describe; nothing is written yet.

    Raises
    ------
    UsageError: an unknown name or parameter.
    EnvironmentFailure: the package behind one is not installed.
    """
    return Trackers({str(parse(spec)): registry.tracker(spec) for spec in specs}, reporter)
