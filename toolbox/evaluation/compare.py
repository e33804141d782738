"""Runs against runs: are they comparable, which form an arm, and what do the statistics say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import mean, stdev
from string import ascii_uppercase
from typing import Any

import numpy as np

from toolbox.api.errors import Refused, UsageError
from toolbox.evaluation.test_set_uses import uses_of
from toolbox.files import fingerprint
from toolbox.runs.folder import PREDICTIONS, Run
from toolbox.runs.identity import identity
from toolbox.runs.predictions import Predictions
from toolbox.statistics import compare as statistics
from toolbox.statistics.compare import Pair
from toolbox.statistics.proportions import holm
from toolbox.statistics.scores import METRICS, PredictionSet, Units
from toolbox.statistics.verdict import Comparison

SHOWN = ("accuracy", "balanced_accuracy", "f1", "auc", "log_loss")
"""Metrics that a comparison shows by default; the first one is primary and decides."""


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed or fold alone. ``letter``: A, B, … by the order in which they were named.

    ``name``: what sentences call it. ``values``: each metric's value of each run; NaN where it is not defined.
    """

    letter: str
    name: str
    runs: tuple[Run, ...]
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def mean(self, metric: str) -> float | None:
        """Over the runs; ``None`` where it is not defined for one of them."""
        values = self.values[metric]
        return None if np.isnan(values).any() else mean(values)

    def sd(self, metric: str) -> float | None:
        """The standard deviation between the runs; ``None`` for a single one."""
        values = self.values[metric]
        return stdev(values) if len(values) > 1 and not np.isnan(values).any() else None

    def document(self) -> dict[str, Any]:
        """As ``compare --json`` prints it."""
        metrics = {
            metric: {
                "values": [None if np.isnan(value) else value for value in values],
                "mean": self.mean(metric),
                "sd": self.sd(metric),
            }
            for metric, values in self.values.items()
        }
        first = self.runs[0].record
        return {
            "name": self.letter.lower(),
            "runs": [run.id for run in self.runs],
            "model": first.model,
            "train_on": first.train_on,
            "seeds": [run.record.seed for run in self.runs],
            "metrics": metrics,
        }


@dataclass(frozen=True)
class ComparisonResult:
    """Arms that were tested on the same ``n`` images, every arm against every other.

    ``metric`` is the primary metric: it alone decides. ``comparisons`` have all metrics.
    """

    metric: str
    n: int
    split: str
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]

    @property
    def primary(self) -> list[Comparison]:
        """The comparisons by the primary metric."""
        return [each for each in self.comparisons if each.metric == self.metric]

    @property
    def deciding(self) -> Comparison | None:
        """The best arm against the second best by the primary metric; ``None`` where there is nothing to compare."""
        ranked = self.ranked
        return self.between(ranked[0].letter, ranked[1].letter) if len(ranked) > 1 else None

    @property
    def ranked(self) -> list[Arm]:
        """The arms by the primary metric, the best first."""
        sign = 1 if METRICS[self.metric].higher_is_better else -1
        means = {arm.letter: arm.mean(self.metric) for arm in self.arms}
        return sorted(self.arms, key=lambda arm: math.inf if (m := means[arm.letter]) is None else -sign * m)

    @property
    def winner(self) -> str:
        """The letter of the arm that is better than every other; empty where none is."""
        best = self.ranked[0].letter
        beaten = [each.winner == best for each in self.primary if best in each.letters]
        return best if beaten and all(beaten) else ""

    @property
    def words(self) -> str:
        """The verdict as a sentence."""
        return self.deciding.words if self.deciding else "these runs differ in their seed alone: nothing to compare"

    def arm(self, letter: str) -> Arm:
        """The arm of that letter."""
        return next(arm for arm in self.arms if arm.letter == letter)

    def arm_of(self, run_id: str) -> Arm | None:
        """The arm that a run belongs to, if it was compared at all."""
        return next((arm for arm in self.arms if any(run.id == run_id for run in arm.runs)), None)

    def between(self, one: str, other: str) -> Comparison | None:
        """The comparison of two arms by the primary metric."""
        return next((each for each in self.primary if set(each.letters) == {one, other}), None)

    def document(self) -> dict[str, Any]:
        """As ``compare --json`` prints it."""
        deciding = self.deciding
        figures = _figures(deciding) if deciding else {"difference": None, "p_value": None, "test": None}
        return {
            "verdict": self.winner.lower() or "not distinguishable",
            "words": self.words,
            **figures,
            "metric": self.metric,
            "n": self.n,
            "split": self.split,
            "arms": [arm.document() for arm in self.arms],
            "comparisons": [_document(each) for each in self.comparisons],
            "notes": list(self.notes),
        }


def compare_arms(
    a_runs: Sequence[Run], b_runs: Sequence[Run], metric: str = "accuracy", names: tuple[str, str] = ("A", "B")
) -> Comparison:
    """Compare two arms whose runs are paired in the order given, by seed or fold.

    The runs of a pair must have been tested on the same samples; pairs may have different test sets (folds). The
    result has ``verdict``, ``difference`` (b - a), ``low``, ``high``, ``p_value`` and ``words``.

    Raises
    ------
    Refused: a pair's test ids, labels or pixels differ.
    UsageError: the arms have no or not equally many runs, or the metric is unknown or not defined.
    """
    if len(a_runs) != len(b_runs):
        raise UsageError(f"{len(a_runs)} runs against {len(b_runs)} can't be paired")
    pairs = [paired(a, b)[0] for a, b in zip(a_runs, b_runs, strict=True)]
    return replace(statistics.compare_arms(pairs, metric), names=names)


def paired(a: Run, b: Run) -> tuple[Pair, list[str]]:
    """Two runs' answers to the samples that both were tested on, and what could not be checked.

    Raises
    ------
    Refused: the runs were tested on different samples, labels, pixels or classes.
    """
    first, second = _tested(a), _tested(b)
    notes = _check(a, b, first, second)
    places = {name: at for at, name in enumerate(second.ids)}
    order = sorted(range(len(first.ids)), key=lambda at: first.ids[at])
    other = [places[first.ids[at]] for at in order]
    columns = [second.classes.index(name) for name in first.classes]
    number = {name: at for at, name in enumerate(first.classes)}
    targets = np.array([number[first.labels[at]] for at in order], dtype=np.int64)
    # Groups that only one of the runs knows hold for both.
    groups = [first.groups[at] or second.groups[at_b] for at, at_b in zip(order, other, strict=True)]
    units = Units.from_groups(groups, len(order))
    ids = [first.ids[at] for at in order]
    names = tuple(f"group {group}" if group else f"sample {name}" for group, name in zip(groups, ids, strict=True))
    return (
        Pair(
            PredictionSet(targets, first.probabilities[order], units),
            PredictionSet(targets, second.probabilities[other][:, columns], units),
            names,
            division=str(a.record.settings.split.seed),
            train=sum(a.record.data.counts.get("train", {}).values()),
        ),
        notes,
    )


def _tested(run: Run) -> Predictions:
    predictions = Predictions.read(run.path / PREDICTIONS)
    return predictions.part(predictions.evaluation_split)


def _check(a: Run, b: Run, first: Predictions, second: Predictions) -> list[str]:
    """Notes on what a reader must know; raises where a comparison would mean nothing."""
    names = f"{a.id} and {b.id}"
    hint = "A paired comparison needs the same test set: train both runs on the same data and split."
    if set(first.classes) != set(second.classes):
        raise Refused(f"{names} know different classes: {_listed(first.classes)} and {_listed(second.classes)}", hint)
    if first.splits[:1] != second.splits[:1]:
        raise Refused(f"{a.id} was tested on its {first.splits[0]} split, {b.id} on its {second.splits[0]} split", hint)
    alone, other = sorted(set(first.ids) - set(second.ids)), sorted(set(second.ids) - set(first.ids))
    if alone or other:
        example = f"{alone[0]!r} is in {a.id} alone" if alone else f"{other[0]!r} is in {b.id} alone"
        raise Refused(
            f"{names} were tested on different images: {len(alone)} in the first alone, {len(other)} in the second"
            f" alone ({example})",
            hint,
        )
    notes = []
    labels = dict(zip(second.ids, second.labels, strict=True))
    for at, name in enumerate(first.ids):
        if labels[name] != first.labels[at]:
            raise Refused(f"{name!r} is {first.labels[at]!r} in {a.id} and {labels[name]!r} in {b.id}", hint)
    if all(first.pixels) and all(second.pixels):
        pixels = dict(zip(second.ids, second.pixels, strict=True))
        changed = [name for at, name in enumerate(first.ids) if pixels[name] != first.pixels[at]]
        if changed:
            raise Refused(f"{names} saw different pixels of {len(changed)} test images ({changed[0]!r}, say)", hint)
    else:
        older = a if not all(first.pixels) else b
        notes.append(f"pixels could not be checked: {older.id} kept no hashes of them")
    return notes


def arms_of(runs: Sequence[Run]) -> list[Arm]:
    """Runs that differ in the seed or fold alone form an arm; two runs are always an arm each."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        key = run.id if len(runs) == 2 else fingerprint.of_record(identity(run.record))
        members.setdefault(key, []).append(run)
    if len(members) > len(ascii_uppercase):
        raise UsageError(f"{len(members)} arms are too many to compare with each other")
    return [
        Arm(letter, f"{letter} ({_describe(runs_of_arm)})", tuple(runs_of_arm))
        for letter, runs_of_arm in zip(ascii_uppercase, members.values(), strict=False)
    ]


def _describe(runs: Sequence[Run]) -> str:
    return runs[0].id if len(runs) == 1 else f"{runs[0].record.model}, {len(runs)} seeds"


def compare(runs: Sequence[Run], metrics: Sequence[str] = (), margin: float = 0.0) -> ComparisonResult:
    """Compare ``runs`` by ``metrics``, of which the first one is primary.

    The verdict is that of the primary metric: of more than two arms the best wins only if it beats every other after
    Holm's correction. ``margin``: the tolerated difference, in points (hundredths of the metric's unit).

    Raises
    ------
    Refused: the runs were not tested on the same samples.
    UsageError: fewer than two runs, a negative margin, or a metric that is unknown or not defined.
    """
    if len(runs) < 2 or len({run.path.resolve() for run in runs}) < len(runs):
        raise UsageError("a comparison needs at least two different runs", "toolbox compare RUN_A RUN_B")
    if margin < 0:
        raise UsageError(f"a margin of {margin:g} points is negative", "Pass its size, as in --margin 2.")
    requested = [statistics.check_metric(name) for name in (metrics or SHOWN)]
    notes: list[str] = []
    for other in runs[1:]:
        notes += paired(runs[0], other)[1]
    arms = [
        replace(arm, values={metric: tuple(_value(run, metric) for run in arm.runs) for metric in requested})
        for arm in arms_of(runs)
    ]
    comparisons = [each for metric in requested for each in _all_pairs(arms, metric, metric in metrics, margin / 100)]
    comparisons = [replace(each, primary=each.metric == requested[0]) for each in comparisons]
    warnings = [each.warning for each in comparisons if each.warning]
    tested = _tested(runs[0])
    return ComparisonResult(
        metric=requested[0],
        n=len(tested.ids),
        split=tested.splits[0],
        arms=tuple(arms),
        comparisons=tuple(comparisons),
        notes=tuple(dict.fromkeys([*notes, *_notes(arms), *warnings])),
    )


def _all_pairs(arms: Sequence[Arm], metric: str, required: bool, margin: float) -> list[Comparison]:
    """Every arm against every other, Holm's correction over all of them."""
    comparisons = []
    for a, b in combinations(arms, 2):
        first, second = _pair_by_seed(a, b)
        try:
            comparison = compare_arms(first, second, metric, (a.name, b.name))
        except UsageError as error:
            if isinstance(error, Refused) or required or metric == SHOWN[0]:
                raise
            continue  # one of the metrics that are shown by default is not defined on these samples
        comparisons.append(replace(comparison, letters=(a.letter, b.letter), margin=margin))
    return adjust(comparisons)


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Add Holm's correction where there are several comparisons."""
    if len(comparisons) < 2:
        return list(comparisons)
    adjusted = holm([each.p_value for each in comparisons])
    return [replace(each, adjusted=p) for each, p in zip(comparisons, adjusted, strict=True)]


def _pair_by_seed(a: Arm, b: Arm) -> tuple[list[Run], list[Run]]:
    """Runs paired by the seeds that both arms have, each seed once; in their order where they share none."""
    first, second = ({run.record.seed: run for run in reversed(arm.runs)} for arm in (a, b))
    shared = [seed for seed in dict.fromkeys(run.record.seed for run in a.runs) if seed in second]
    if shared and len(a.runs) + len(b.runs) > 2:
        return [first[seed] for seed in shared], [second[seed] for seed in shared]
    count = min(len(a.runs), len(b.runs))
    return list(a.runs[:count]), list(b.runs[:count])


def _figures(comparison: Comparison) -> dict[str, Any]:
    ends = {"low": comparison.low, "high": comparison.high, "method": comparison.interval}
    figures: dict[str, Any] = {
        "difference": {"value": comparison.difference, **ends},
        "p_value": comparison.p_value,
        "p_value_holm": comparison.adjusted,
        "test": comparison.test,
        "detectable": comparison.detectable,
        "scope": comparison.design.scope,
        "scope_words": comparison.scope_words,
    }
    if comparison.margin:
        low, high = comparison.narrow
        interval = {"low": low, "high": high, "level": statistics.NARROW}
        figures["margin"] = {"value": comparison.margin, "verdict": comparison.equivalence, "interval": interval}
    return figures


def _document(comparison: Comparison) -> dict[str, Any]:
    a, b = (letter.lower() for letter in comparison.letters)
    verdict = comparison.winner.lower() or ("not distinguishable" if comparison.primary else "descriptive")
    values = {"metric": comparison.metric, "a": a, "b": b, "values": [comparison.a, comparison.b]}
    sizes = {"n": comparison.n, "units": comparison.units}
    return {**values, "verdict": verdict, "words": comparison.words, **_figures(comparison), **sizes}


def _value(run: Run, metric: str) -> float:
    predictions = _tested(run)
    number = {name: at for at, name in enumerate(predictions.classes)}
    targets = np.array([number[label] for label in predictions.labels], dtype=np.int64)
    units = Units.from_groups(predictions.groups, len(targets))
    return PredictionSet(targets, predictions.probabilities, units).value(metric)


def _notes(arms: Sequence[Arm]) -> list[str]:
    chosen = [run for arm in arms for run in arm.runs]
    leaky = [run.id for run in chosen if run.record.leaky]
    notes = []
    if leaky:
        many = "are leaky: their" if len(leaky) > 1 else "is leaky: its"
        notes.append(f"{', '.join(leaky)} {many} figures are inflated, and so is any difference in favour of them")
    split = _tested(chosen[0]).splits[0]
    if split != "test":
        notes.append(f"not held out: the {split} split took part in training")
    for run in chosen:
        if run.record.data.note:
            notes.append(run.record.data.note)
    uses = uses_of(chosen[0])
    if uses is not None:
        notes.append(uses.words)
    return list(dict.fromkeys(notes))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
