"""How long a study will take and how much disk, from a short probe of each kind of run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
class Estimate:
    """What a whole study takes, and each of its runs (by key).

    ``problems``: why some could not be probed, by key; nothing is counted for them, and they will fail the same way.
    """

    seconds: float
    bytes: int
    costs: dict[str, Cost]
    problems: dict[str, str] = field(default_factory=dict)


def estimate(plan: Plan, scratch: Path, registry: Registry, reporter: Reporter) -> Estimate:
    """Probe one run of each kind; nothing is written below ``scratch``.

    Trainings that stop early take less than is said.

    Raises
    ------
    UsageError: what the runs themselves would raise before they train.
    """
    kinds: dict[str, list[PlannedRun]] = {}
    for run in plan.runs:
        kinds.setdefault(_kind(run), []).append(run)
    probed = tracked(_probes(list(kinds), kinds, scratch, registry), reporter, "probing", len(kinds), "kinds of run")
    costs: dict[str, Cost] = {}
    problems: dict[str, str] = {}
    for kind, found in probed:
        for run in kinds[kind]:
            costs[run.key] = found if isinstance(found, Cost) else Cost(0, 0)
            if isinstance(found, str):
                problems[run.key] = found
    seconds = sum(cost.seconds for cost in costs.values())
    disk = sum(cost.bytes for cost in costs.values())
    sets: dict[tuple[str, str], Cost] = {}
    for run in plan.runs:
        sets[run.split_key, _set_of(run)] = costs[run.key]
    seconds += sum(cost.set_seconds for cost in sets.values())
    disk += sum(cost.set_bytes for cost in sets.values())
    return Estimate(seconds, disk, costs, problems)


def _probes(
    names: list[str], kinds: dict[str, list[PlannedRun]], scratch: Path, registry: Registry
) -> Iterator[tuple[str, Cost | str]]:
    """The cost of each kind of run, or the reason it can't run here (missing weights)."""
    for name in names:
        try:
            yield name, _probe(kinds[name][0], scratch, registry)
        except EnvironmentFailure as error:
            yield name, error.message


def _probe(run: PlannedRun, scratch: Path, registry: Registry) -> Cost:
    from toolbox.workspace import Workspace

    start = time.perf_counter()
    augmented = run.settings["training.train_on"] == "augmented"
    # There is no augmented set yet: what an original costs a copy costs, too.
    settings: dict[str, Any] = {**run.settings, **({"training.train_on": "originals"} if augmented else {})}
    place = Workspace(scratch / run.split_key, settings=settings, reporter=SilentReporter(), registry=registry)
    trained = place.plan_training(run.model, finetune=run.method == "finetune")
    around = time.perf_counter() - start
    if not augmented:
        return Cost(trained["seconds"] + around, trained["parameters"] * 4)
    made = place.plan_augment()
    factor = place.settings.augment.factor
    return Cost(trained["seconds"] * factor + around, trained["parameters"] * 4, made.seconds, made.bytes)


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
