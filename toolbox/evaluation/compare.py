"""Runs against runs: are they comparable, which form an arm, and what do the statistics say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
"""Metrics that a comparison shows unless told otherwise; the first one decides."""


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed alone. ``letter``: A, B, … by the order in which they were named."""

    letter: str
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """Letter and run, or letter, model and number of runs."""
        first = self.runs[0]
        many = f"{first.record.model}, {len(self.runs)} seeds"
        return f"{self.letter} ({first.id if len(self.runs) == 1 else many})"


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


def arms_of(chosen: Sequence[Run]) -> list[Arm]:
    """Runs that differ in the seed alone form an arm; two runs are always an arm each."""
    found: dict[str, list[Run]] = {}
    for run in chosen:
        key = run.id if len(chosen) == 2 else fingerprint.of_record(identity(run.record))
        found.setdefault(key, []).append(run)
    if len(found) > len(ascii_uppercase):
        raise UsageError(f"{len(found)} arms are too many to compare with each other")
    return [Arm(letter, tuple(members)) for letter, members in zip(ascii_uppercase, found.values(), strict=False)]


def compare(chosen: Sequence[Run], metrics: Sequence[str] = ()) -> dict[str, Any]:
    """What ``toolbox compare`` says of ``chosen``, as ``--json`` prints it.

    Top-level ``verdict``, ``difference`` and ``p_value`` are those of the first metric; of more than two arms, those of
    the best against the second best, and the verdict names the best only if it beats every other after Holm.

    Raises
    ------
    Refused: the runs were not tested on the same samples.
    UsageError: fewer than two runs, or an unknown metric.
    """
    if len(chosen) < 2 or len({run.path.resolve() for run in chosen}) < len(chosen):
        raise UsageError("a comparison needs at least two different runs", "toolbox compare RUN_A RUN_B")
    metrics = [statistics.check_metric(name) for name in (metrics or SHOWN)]
    notes: list[str] = []
    for other in chosen[1:]:
        notes += paired(chosen[0], other)[1]
    arms = arms_of(chosen)
    comparisons = [found for metric in metrics for found in _all_pairs(arms, metric)]
    first = [found for found in comparisons if found.metric == metrics[0]]
    deciding, verdict = _decided(arms, first)
    return {
        "verdict": verdict,
        "words": deciding.words if deciding else "these runs differ in their seed alone: one arm, nothing to compare",
        **(_figures(deciding) if deciding else {"difference": None, "p_value": None, "test": None}),
        "metric": metrics[0],
        "n": len(_tested(chosen[0]).ids),
        "split": _tested(chosen[0]).splits[0],
        "arms": [_arm(arm, metrics) for arm in arms],
        "comparisons": [_document(found) for found in comparisons],
        "notes": [*dict.fromkeys(notes), *_notes(arms)],
    }


def _all_pairs(arms: Sequence[Arm], metric: str) -> list[Comparison]:
    """Every arm against every other, Holm's correction over all of them."""
    found = []
    for a, b in combinations(arms, 2):
        first, second = _by_seed(a, b)
        try:
            found.append(compare_arms(first, second, metric, (a.name, b.name)))
        except Refused:
            raise
        except UsageError:
            if metric in SHOWN[1:]:
                continue  # not defined on these samples, and nobody asked for it by name
            raise
    if len(found) < 2:
        return found
    adjusted = holm([each.p_value for each in found])
    return [replace(each, adjusted=p) for each, p in zip(found, adjusted, strict=True)]


def _by_seed(a: Arm, b: Arm) -> tuple[list[Run], list[Run]]:
    """Runs paired by the seeds that both arms have; in their order where they share none."""
    by_seed = {run.record.seed: run for run in b.runs}
    shared = [(run, by_seed[run.record.seed]) for run in a.runs if run.record.seed in by_seed]
    pairs = shared if shared and len(a.runs) + len(b.runs) > 2 else list(zip(a.runs, b.runs, strict=False))
    return [first for first, _ in pairs], [second for _, second in pairs]


def _decided(arms: Sequence[Arm], found: Sequence[Comparison]) -> tuple[Comparison | None, str]:
    if not found:
        return None, "not distinguishable"
    if len(arms) == 2:
        return found[0], found[0].verdict
    sign = 1 if METRICS[found[0].metric].higher_is_better else -1
    wins = {arm.name: 0 for arm in arms}
    values = {}
    for each in found:
        values[each.names[0]], values[each.names[1]] = sign * each.a, sign * each.b
        if each.verdict != "not distinguishable":
            wins[each.names[0 if each.verdict == "a" else 1]] += 1
    best, second = sorted(values, key=lambda name: -values[name])[:2]
    deciding = next(each for each in found if {best, second} == set(each.names))
    letter = next(arm.letter for arm in arms if arm.name == best).lower()
    return deciding, letter if wins[best] == len(arms) - 1 else "not distinguishable"


def _figures(found: Comparison) -> dict[str, Any]:
    return {
        "difference": {"value": found.difference, "low": found.low, "high": found.high, "method": found.interval},
        "p_value": found.p_value,
        "p_value_holm": found.adjusted,
        "test": found.test,
        "needed": found.needed,
    }


def _document(found: Comparison) -> dict[str, Any]:
    a, b = (name[0].lower() for name in found.names)
    verdict = {"a": a, "b": b}.get(found.verdict, found.verdict)
    values = {"metric": found.metric, "a": a, "b": b, "values": [found.a, found.b]}
    return {**values, "verdict": verdict, "words": found.words, **_figures(found), "n": found.n, "units": found.units}


def _arm(arm: Arm, metrics: Sequence[str]) -> dict[str, Any]:
    """An arm's runs with mean, standard deviation and range over the seeds of each metric."""
    spread = {}
    for metric in metrics:
        values = [_value(run, metric) for run in arm.runs]
        spread[metric] = {
            "values": [None if np.isnan(value) else value for value in values],
            "mean": None if np.isnan(values).any() else mean(values),
            "sd": stdev(values) if len(values) > 1 and not np.isnan(values).any() else None,
        }
    first = arm.runs[0].record
    return {
        "name": arm.letter.lower(),
        "runs": [run.id for run in arm.runs],
        "model": first.model,
        "train_on": first.train_on,
        "seeds": [run.record.seed for run in arm.runs],
        "metrics": spread,
    }


def _value(run: Run, metric: str) -> float:
    found = _tested(run)
    number = {name: at for at, name in enumerate(found.classes)}
    targets = np.array([number[label] for label in found.labels], dtype=np.int64)
    return PredictionSet(targets, found.probabilities, Units.from_groups(found.groups, len(targets))).value(metric)


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
