"""What a study's finished runs say: each arm over its seeds and folds, and the comparisons that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from toolbox.api.errors import ToolboxError
from toolbox.evaluation.compare import adjust, compare_arms
from toolbox.runs.folder import PREDICTIONS, Run
from toolbox.runs.predictions import Predictions
from toolbox.statistics import bootstrap
from toolbox.statistics.verdict import Comparison as Verdict
from toolbox.study.file import Comparison
from toolbox.study.ledger import Entry
from toolbox.study.plan import Plan, PlannedRun

Floats = npt.NDArray[np.float64]
CellKey = tuple[str, tuple[tuple[str, str], ...]]
LEAKY, RIGHT = "augment-then-split", "split-then-augment"


@dataclass(frozen=True)
class Cell:
    """An arm under one combination of the matrix, over its seeds and folds.

    ``value`` is the mean accuracy, ``low`` and ``high`` its 95 % interval by a BCa bootstrap of groups (or samples)
    over the runs' mean correctness, ``spread`` the standard deviation between seeds.
    """

    name: str
    arm: str
    factors: Mapping[str, str]
    runs: int
    failed: int
    value: float | None
    low: float | None
    high: float | None
    spread: float | None
    n: int
    leaky: bool
    held_out: bool
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """A comparison in words, with its figures where there are any."""

    title: str
    words: str
    verdict: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    scope: str = ""


@dataclass(frozen=True)
class Results:
    """Everything that a study says so far."""

    cells: tuple[Cell, ...]
    comparisons: tuple[Compared, ...]
    leakage: tuple[Compared, ...]
    failures: tuple[tuple[str, str], ...]
    label: str = "accuracy"

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return asdict(self)


def gather(plan: Plan, finished: Mapping[str, Run], entries: Mapping[str, Entry]) -> Results:
    """The results of ``plan`` by the runs that are ``finished`` (by key)."""
    cells: dict[CellKey, list[PlannedRun]] = {}
    for planned in plan.runs:
        cells.setdefault(planned.cell, []).append(planned)
    table = [_cell(members, finished, entries) for members in cells.values()]
    failures = [(run.name, entries[run.key].error) for run in plan.runs if _failed(run, entries)]
    return Results(
        cells=tuple(table),
        comparisons=tuple(_comparisons(plan, cells, finished)),
        leakage=tuple(_leakage(cells, finished)),
        failures=tuple(failures),
    )


def _cell(members: Sequence[PlannedRun], finished: Mapping[str, Run], entries: Mapping[str, Entry]) -> Cell:
    first = members[0]
    made = [finished[planned.key] for planned in members if planned.key in finished]
    hits, counts = _by_unit(made)
    value, low, high = _accuracy(hits, counts, first)
    return Cell(
        name=first.cell_name,
        arm=first.arm,
        factors={name: str(value) for name, value in first.factors.items()},
        runs=len(made),
        failed=sum(_failed(planned, entries) for planned in members),
        value=value,
        low=low,
        high=high,
        spread=_spread(members, finished),
        n=int(counts.sum() / max(1, len({planned.seed for planned in members if planned.key in finished}))),
        leaky=any(run.record.leaky for run in made),
        held_out=all(run.evaluation.held_out for run in made),
        paths=tuple(str(run.path) for run in made),
    )


def _by_unit(made: Sequence[Run]) -> tuple[Floats, Floats]:
    """Right answers and answers of each unit (a group, or a sample) over ``made``."""
    hits: dict[str, float] = {}
    counts: dict[str, float] = {}
    for run in made:
        for unit, right in _answers(run):
            hits[unit] = hits.get(unit, 0.0) + right
            counts[unit] = counts.get(unit, 0.0) + 1
    return np.array(list(hits.values())), np.array(list(counts.values()))


def _answers(run: Run) -> list[tuple[str, bool]]:
    """For each sample that the run was tested on: its unit, and whether the answer was right."""
    tested = Predictions.read(run.path / PREDICTIONS).part(run.evaluation.split)
    guessed = tested.probabilities.argmax(1)
    return [
        (group or name, tested.classes[guess] == label)
        for name, group, label, guess in zip(tested.ids, tested.groups, tested.labels, guessed, strict=True)
    ]


def _accuracy(hits: Floats, counts: Floats, planned: PlannedRun) -> tuple[float | None, float | None, float | None]:
    if not len(hits):
        return None, None, None
    value = float(hits.sum() / counts.sum())
    samples, jackknife = _resampled(hits, counts, planned.key)
    interval = bootstrap.bca(value, samples, jackknife)
    return (value, *interval) if interval else (value, None, None)


def _resampled(hits: Floats, counts: Floats, key: str) -> tuple[Floats, Floats]:
    drawn = bootstrap.draw_weights(len(hits), bootstrap.RESAMPLES, bootstrap.generator("study", key)).astype(np.float64)
    left_out = bootstrap.jackknife_weights(len(hits)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits @ drawn / (counts @ drawn), hits @ left_out / (counts @ left_out)


def _spread(members: Sequence[PlannedRun], finished: Mapping[str, Run]) -> float | None:
    """The standard deviation between seeds, each seed's folds taken together."""
    by_seed: dict[int, list[float]] = {}
    for planned in members:
        if planned.key in finished:
            value = finished[planned.key].metrics["accuracy"].value
            by_seed.setdefault(planned.seed, []).append(value or 0.0)
    means = [mean(values) for values in by_seed.values()]
    return stdev(means) if len(means) > 1 else None


def _comparisons(plan: Plan, cells: Mapping[CellKey, list[PlannedRun]], finished: Mapping[str, Run]) -> list[Compared]:
    """Each comparison that the file names, under each combination of the matrix; Holm's correction over all."""
    asked = [
        (wanted, key, (wanted.b, key[1]))
        for wanted in plan.study.compare
        for key in cells
        if key[0] == wanted.a and (wanted.b, key[1]) in cells and _fits(wanted, key)
    ]
    results: list[tuple[str, Verdict | str]] = []
    for wanted, one, other in asked:
        title = f"{cells[one][0].cell_name} against {cells[other][0].cell_name}"
        a, b = _paired(cells[one], cells[other], finished)
        if not a:
            results.append((title, "no pair of runs is finished"))
            continue
        try:
            results.append((title, compare_arms(a, b, wanted.metric, (wanted.a, wanted.b))))
        except ToolboxError as error:
            results.append((title, error.message))
    adjusted = iter(adjust([result for _, result in results if not isinstance(result, str)]))
    return [
        Compared(title, result) if isinstance(result, str) else _compared(title, next(adjusted))
        for title, result in results
    ]


def _compared(title: str, result: Verdict) -> Compared:
    warning = f" Note: {result.warning}." if result.warning else ""
    words = f"{result.words}. {result.scope_words}{warning}"
    return Compared(
        title, words, result.verdict, result.difference, result.low, result.high, result.deciding_p, result.design.scope
    )


def _paired(
    one: Sequence[PlannedRun], other: Sequence[PlannedRun], finished: Mapping[str, Run]
) -> tuple[list[Run], list[Run]]:
    """The finished runs of two cells that share seed and fold."""
    second = {(planned.seed, planned.fold): planned for planned in other}
    pairs = [(planned, second.get((planned.seed, planned.fold))) for planned in one]
    done = [(a, b) for a, b in pairs if b is not None and a.key in finished and b.key in finished]
    return [finished[a.key] for a, _ in done], [finished[b.key] for _, b in done]


def _leakage(cells: Mapping[CellKey, list[PlannedRun]], finished: Mapping[str, Run]) -> list[Compared]:
    """For each arm that was run both ways: how much of its leaky accuracy was leakage.

    The two ways are tested on different images, so that nothing can be paired: the difference of two independent
    bootstraps, with the percentile interval.
    """
    done = []
    for key, members in cells.items():
        factors = dict(key[1])
        if factors.get("split.protocol") != LEAKY:
            continue
        right = (key[0], tuple((name, RIGHT if name == "split.protocol" else value) for name, value in key[1]))
        if right not in cells:
            continue
        sides = [
            _by_unit([finished[run.key] for run in runs_ if run.key in finished]) for runs_ in (members, cells[right])
        ]
        if not all(len(hits) for hits, _ in sides):
            continue
        leaky, fair = (float(hits.sum() / counts.sum()) for hits, counts in sides)
        drawn = [
            _resampled(*side, f"{cells[cell][0].key}/leakage")[0]
            for side, cell in zip(sides, (key, right), strict=True)
        ]
        low, high = (float(end) for end in np.nanpercentile(drawn[0] - drawn[1], [2.5, 97.5]))
        words = (
            f"{leaky:.3f} the leaky way, {fair:.3f} without leaks:"
            f" {100 * (leaky - fair):+.1f} points (95 % CI {100 * low:+.1f} to {100 * high:+.1f})"
        )
        done.append(Compared(key[0], words, "", leaky - fair, low, high))
    return done


def _fits(wanted: Comparison, key: CellKey) -> bool:
    factors = dict(key[1])
    return all(factors.get(name) == str(value) for name, value in wanted.where.items())


def _failed(planned: PlannedRun, entries: Mapping[str, Entry]) -> bool:
    return planned.key in entries and entries[planned.key].status == "failed"
