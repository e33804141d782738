"""How long a study will take and how much disk, from a short probe of each kind of run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolbox.api.errors import EnvironmentFailure
from toolbox.api.progress import Reporter, SilentReporter, tracked
from toolbox.files import fingerprint
from toolbox.plugin.registry import Registry
from toolbox.study.plan import Plan, PlannedRun


@dataclass(frozen=True)
class Cost:
    """What one run takes: ``seconds`` of its own, and ``set_seconds`` and ``set_bytes`` for its augmented set, which
    runs of one split and seed share. ``bytes`` are for its own files."""

    seconds: float
    bytes: int
    set_seconds: float = 0.0
    set_bytes: int = 0


@dataclass(frozen=True)
class StudyEstimate:
    """What a whole study takes, and each of its runs (by key).

    ``problems``: why some could not be probed, by key; nothing is counted for them, and they will fail the same way.
    """

    seconds: float
    bytes: int
    costs: dict[str, Cost]
    problems: dict[str, str] = field(default_factory=dict)


def estimate(plan: Plan, scratch: Path, registry: Registry, reporter: Reporter) -> StudyEstimate:
    """Probe one run of each kind; nothing is written below ``scratch``.

    Trainings that stop early take less than is said.

    Raises
    ------
    UsageError: what the runs themselves would raise before they train.
    """
    kinds: dict[str, list[PlannedRun]] = {}
    for run in plan.runs:
        kinds.setdefault(_kind(run), []).append(run)
    probed = tracked(_probe_each(kinds, scratch, registry), reporter, "probing", len(kinds), "kinds of run")
    costs: dict[str, Cost] = {}
    problems: dict[str, str] = {}
    for kind, result in probed:
        for run in kinds[kind]:
            costs[run.key] = result if isinstance(result, Cost) else Cost(0, 0)
            if isinstance(result, str):
                problems[run.key] = result
    seconds = sum(cost.seconds for cost in costs.values())
    disk = sum(cost.bytes for cost in costs.values())
    sets: dict[tuple[str, str], Cost] = {}
    for run in plan.runs:
        sets[run.split_key, _set_of(run)] = costs[run.key]
    seconds += sum(cost.set_seconds for cost in sets.values())
    disk += sum(cost.set_bytes for cost in sets.values())
    return StudyEstimate(seconds, disk, costs, problems)


def _probe_each(
    kinds: Mapping[str, list[PlannedRun]], scratch: Path, registry: Registry
) -> Iterator[tuple[str, Cost | str]]:
    """The cost of each kind of run, or the reason it can't run here (missing weights)."""
    for kind, (first, *_) in kinds.items():
        try:
            yield kind, _probe(first, scratch, registry)
        except EnvironmentFailure as error:
            yield kind, error.message


def _probe(run: PlannedRun, scratch: Path, registry: Registry) -> Cost:
    from toolbox.workspace import Workspace

    start = time.perf_counter()
    augmented = run.settings["training.train_on"] == "augmented"
    # There is no augmented set yet: what an original costs a copy costs, too.
    settings = {**run.settings, **({"training.train_on": "originals"} if augmented else {})}
    workspace = Workspace(scratch / run.split_key, settings=settings, reporter=SilentReporter(), registry=registry)
    training = workspace.plan_training(run.model, finetune=run.method == "finetune")
    overhead, weights = time.perf_counter() - start, training["parameters"] * 4
    if not augmented:
        return Cost(training["seconds"] + overhead, weights)
    copies, factor = workspace.plan_augment(), workspace.settings.augment.factor
    return Cost(training["seconds"] * factor + overhead, weights, copies.seconds, copies.bytes)


def _kind(run: PlannedRun) -> str:
    """What decides the cost of a run: everything but its seed and its fold."""
    settings = {name: value for name, value in run.settings.items() if name not in ("seed", "split.fold")}
    return fingerprint.of_record([run.method, run.model, settings])


def _set_of(run: PlannedRun) -> str:
    """What names an augmented set, beside the split; empty for a run that needs none."""
    if run.settings["training.train_on"] != "augmented":
        return ""
    recipe = {name: value for name, value in run.settings.items() if name.startswith("augment.") or name == "seed"}
    return fingerprint.of_record(recipe)
