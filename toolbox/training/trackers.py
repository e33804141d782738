"""Tells trackers (TensorBoard, MLflow, anybody's) of runs as they happen. None of them can stop a training.

A tracker is an entry point in the group ``toolbox.trackers``: its name is what ``training.trackers`` says, its object a
factory of a :class:`toolbox.api.tracker.Tracker` whose keyword parameters are the tracker's. It is loaded when a
run asks for it, and not otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from toolbox.api.errors import EnvironmentFailure, PluginError, ToolboxError, UsageError, closest
from toolbox.api.progress import Reporter, SilentReporter
from toolbox.api.tracker import Tracker
from toolbox.plugin.schema import validated
from toolbox.plugin.spec import parse
from toolbox.settings.schema import ComponentSpec

GROUP = "toolbox.trackers"


class Trackers:
    """Several trackers as one; one that fails is told of once and then left alone."""

    def __init__(self, trackers: Mapping[str, Tracker] | None = None, reporter: Reporter | None = None) -> None:
        self._trackers = dict(trackers or {})
        self._reporter = reporter or SilentReporter()
        self._begun = False

    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """See :meth:`Tracker.started`."""
        self._begun = True
        self._tell("started", folder, record, history)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """See :meth:`Tracker.epoch`."""
        self._tell("epoch", line)

    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None = None) -> None:
        """See :meth:`Tracker.ended`; nothing is told of a run that never began."""
        if self._begun:
            self._tell("ended", record, evaluation)

    def _tell(self, what: str, *arguments: Any) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                getattr(tracker, what)(*arguments)
            except Exception as error:
                del self._trackers[name]
                text = " ".join(str(error).split())[:300]
                self._reporter.warn(
                    f"the tracker {name} failed and is told no more of this run: {type(error).__name__}: {text}"
                )


def made(specs: Sequence[ComponentSpec], reporter: Reporter) -> Trackers:
    """The trackers that ``specs`` describe; nothing is written yet.

    Raises
    ------
    UsageError: an unknown name or parameter.
    EnvironmentFailure: the package behind one is not installed.
    """
    found: dict[str, Tracker] = {}
    offered = {point.name: point for point in entry_points(group=GROUP)} if specs else {}
    for spec in map(parse, specs):
        if spec.name not in offered:
            raise UsageError(f"no tracker is called {spec.name!r}", closest(spec.name, offered))
        factory = _loaded(offered[spec.name])
        tracker = factory(**validated(factory, spec.parameters, f"tracker {spec.name!r}"))
        if not isinstance(tracker, Tracker):
            raise PluginError(f"the factory of the tracker {spec.name!r} returned {type(tracker).__name__}, no Tracker")
        found[str(spec)] = tracker
    return Trackers(found, reporter)


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except ToolboxError:
        raise
    except ModuleNotFoundError as error:
        extras = (point.dist.metadata.get_all("Provides-Extra") or []) if point.dist else []
        package = f"'{point.dist.name}[{point.name}]'" if point.dist and point.name in extras else error.name
        raise EnvironmentFailure(
            f"the tracker {point.name!r} needs the package {error.name}, which is not installed",
            f"Run: pip install {package}",
        ) from error
    except Exception as error:
        raise PluginError(f"the tracker {point.name!r} can't be imported: {type(error).__name__}: {error}") from error
