"""Evaluators: figures that depend on the evidence alone, and mean what their names say.

The predictions are synthetic (:mod:`toolbox.testing.predictions`), with a column ``site`` (``north``, ``south``) for
evaluators that want one. An evaluator that needs a model gets a small untrained one, and its predictions on the
embedded dataset.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Figure, Gallery, Metric
from toolbox.evaluation.evaluate import find_invalid
from toolbox.testing.check import Checks, Problems
from toolbox.testing.inputs import check_reproducible
from toolbox.testing.predictions import (
    balanced_targets,
    certain,
    make_evidence,
    ordinary_evidence,
    random,
    real_evidence,
    reorder,
)
from toolbox.testing.subject import Subject

COUNT = 48
"""Predictions in ordinary evidence."""

MANY = 240
"""Predictions where skill must be told from chance."""

TOLERANCE = 1e-9
"""Relative difference allowed to sums in another order."""

BEST = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "auc"), 1.0),
    **dict.fromkeys(("average_precision", "mcc", "kappa"), 1.0),
    **dict.fromkeys(("error", "error_rate", "log_loss", "brier", "ece"), 0.0),
}
"""Well-known metrics of right and certain predictions; ``perfect`` of an evaluator adds to it."""

CHANCE = {"accuracy": None, "balanced_accuracy": None, "auc": 0.5, "mcc": 0.0, "kappa": 0.0}
"""Well-known metrics of random predictions; ``None``: one over the number of classes."""

CHECKS = check = Checks(Evaluator)


@check
def returns_an_evaluation(subject: Subject) -> Problems:
    """``evaluate`` returns an :class:`Evaluation`, for two classes and for more, with groups and without.

    Each metric has a name and is a :class:`Metric`, each row of a table fits its columns, and matrices and lines fit
    their axes: the report draws them unchecked.
    """
    for evidence in _evidences(subject):
        evaluation = _evaluate(subject, evidence)
        if not isinstance(evaluation, Evaluation):
            yield f"evaluate returns a {type(evaluation).__name__}, not an Evaluation"
            return
        yield from _misfits(evaluation)


@check
def fits_into_a_json_file(subject: Subject) -> Problems:
    """All of it is JSON, and valid in ``evaluation.json``, which the report reads.

    NumPy's numbers are no JSON (write ``float(…)``, ``.tolist()``), and an undefined value is ``None``, not NaN.
    """
    for evidence in _evidences(subject):
        evaluation = _evaluate(subject, evidence)
        try:
            json.dumps(_document(evaluation), allow_nan=False)
        except (TypeError, ValueError) as error:
            yield f"what it returns can't be written as JSON: {error}"
            return
        if problem := find_invalid(evaluation):
            yield f"what it returns is not valid in evaluation.json: {problem}"


@check
def intervals_contain_the_value(subject: Subject) -> Problems:
    """``low`` and ``high`` are both set or neither, finite, with the value between them.

    A metric without a value has no interval.
    """
    for evidence in _evidences(subject):
        for name, metric in _evaluate(subject, evidence).metrics.items():
            value, low, high = metric.value, metric.low, metric.high
            if (low is None) != (high is None):
                yield f"{name} has only one end of an interval: {low}, {high}"
            elif low is not None and high is not None:
                if value is None:
                    yield f"{name} has no value, but the interval {low} to {high}"
                elif not low - 1e-12 <= value <= high + 1e-12:
                    yield f"{name} is {value:.6g}, outside its interval {low:.6g} to {high:.6g}"
            if not all(math.isfinite(part) for part in (value, low, high) if part is not None):
                yield f"{name} is not finite: {value}, {low}, {high}"


@check
def order_does_not_matter(subject: Subject) -> Problems:
    """The samples in another order give the same, resampled intervals included.

    Two machines list the same files in different orders; sort by ``evidence.ids`` before anything is drawn.
    """
    for evidence in _evidences(subject):
        order = np.random.default_rng(0).permutation(len(evidence.ids)).tolist()
        reordered = subject.component.evaluate(reorder(evidence, order))
        if difference := _difference(_document(_evaluate(subject, evidence)), _document(reordered)):
            yield f"the same samples in another order give another {difference}"
            return


@check
def depends_on_the_evidence_alone(subject: Subject) -> Problems:
    """The same evidence gives the same again, and is not changed. Random numbers come from ``evidence.seed``."""
    evidence = _new_evidences(subject)[0]
    before = (evidence.targets.copy(), evidence.probabilities.copy())
    yield from check_reproducible(
        subject,
        "evaluate",
        lambda evaluator: _document(evaluator.evaluate(evidence)),
        lambda one, other: not _difference(one, other),
    )
    if not (np.array_equal(evidence.targets, before[0]) and np.array_equal(evidence.probabilities, before[1])):
        yield "evaluate writes into the evidence"


@check
def metrics_tell_skill_from_chance(subject: Subject) -> Problems:
    """Right and certain predictions give what ``perfect`` says, and random ones are further from it.

    Well-known metrics must have their known values: an accuracy of 1, and by chance one over the number of classes;
    an AUC of 1 and a half; a kappa of 1 and 0. Otherwise something must differ, at least. Not for evaluators that
    query a model, whose predictions are what they are.
    """
    if subject.component.needs_model:
        return
    for classes in (2, 3):
        targets = balanced_targets(MANY, classes)
        perfect, chance = (
            subject.component.evaluate(_limited(subject, make_evidence(targets, probabilities)))
            for probabilities in (certain(targets, classes), random(MANY, classes))
        )
        declared = dict(subject.component.perfect)
        expected = {name: value for name, value in {**BEST, **declared}.items() if name in perfect.metrics}
        for name in sorted(set(declared) - set(perfect.metrics)):
            yield f"'perfect' names {name!r}, and there is no such metric"
        for name, best in expected.items():
            yield from _compare(name, best, perfect.metrics[name], chance.metrics.get(name), classes)
        if not expected and not _difference(_document(perfect), _document(chance)):
            yield "perfect and random predictions give the same: it ignores the predictions"


@check
def handles_rare_cases(subject: Subject) -> Problems:
    """A class without samples, one that is never predicted, a single sample: each gives an evaluation.

    A rare class may be missing from a test split. What is undefined then is ``None``; the rest is there.
    """
    if subject.component.needs_model:
        return
    for what, evidence in _rare_cases().items():
        try:
            evaluation = subject.component.evaluate(_limited(subject, evidence))
            json.dumps(_document(evaluation), allow_nan=False)
        except Exception as error:
            yield f"with {what} it fails: {type(error).__name__}: {' '.join(str(error).split())}"
            continue
        if evaluation.metrics and all(metric.value is None for metric in evaluation.metrics.values()):
            yield f"with {what} no metric has a value"


@check
def refuses_empty_evidence(subject: Subject) -> Problems:
    """Evidence without samples is a ``UsageError``, which the user sees as one line."""
    try:
        subject.component.evaluate(reorder(_evidences(subject)[0], []))
    except UsageError:
        return
    yield "evidence without samples is evaluated as if there were some; raise a UsageError"


def _document(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as ``evaluation.json`` holds it, with the pixels of pictures as a hash."""
    return {
        **asdict(replace(evaluation, galleries=())),
        "galleries": [_gallery_document(gallery) for gallery in evaluation.galleries],
    }


def _gallery_document(gallery: Gallery) -> dict[str, Any]:
    pictures = [
        {"file": hashlib.sha256(each.image.tobytes()).hexdigest(), "alt": each.alt, "caption": each.caption}
        for each in gallery.pictures
    ]
    return {"name": gallery.name, "title": gallery.title, "pictures": pictures}


def _evidences(subject: Subject) -> list[Evidence]:
    """The kinds of evidence that an evaluator meets in practice."""
    evidences: list[Evidence] = subject.cached("evidences", lambda: _new_evidences(subject))
    return evidences


def _new_evidences(subject: Subject) -> list[Evidence]:
    if subject.component.needs_model:
        return [_limited(subject, real_evidence())]
    cases = ((2, False), (3, False), (3, True))
    return [_limited(subject, ordinary_evidence(COUNT, classes, grouped)) for classes, grouped in cases]


def _limited(subject: Subject, evidence: Evidence) -> Evidence:
    """``evidence`` with images and model only if the evaluator needs them."""
    images = evidence.images if subject.component.needs_images else None
    return replace(evidence, images=images, model=evidence.model if subject.component.needs_model else None)


def _evaluate(subject: Subject, evidence: Evidence) -> Evaluation:
    evaluation: Evaluation = subject.cached(("evaluation", id(evidence)), lambda: subject.component.evaluate(evidence))
    return evaluation


def _rare_cases() -> dict[str, Evidence]:
    probabilities = random(COUNT, 3)
    never = probabilities * [1, 0, 1]
    return {
        "a class without samples": make_evidence(np.repeat([0, 2], COUNT // 2), probabilities),
        "a class that is never predicted": make_evidence(
            balanced_targets(COUNT, 3), never / never.sum(1, keepdims=True)
        ),
        "samples of one class only": make_evidence(np.ones(COUNT, int), random(COUNT, 2)),
        "a single sample": make_evidence([1], random(1, 2)),
    }


def _misfits(evaluation: Evaluation) -> Iterator[str]:
    for name, metric in evaluation.metrics.items():
        if not isinstance(name, str) or not isinstance(metric, Metric):
            yield f"the metric {name!r} is a {type(metric).__name__}, not a Metric"
    for table in evaluation.tables:
        if any(len(row) != len(table.columns) for row in table.rows):
            yield f"the table {table.name!r} has rows that don't have {len(table.columns)} values, one for each column"
    for figure in evaluation.figures:
        yield from _misfits_of_figure(figure)
    for gallery in evaluation.galleries:
        for picture in gallery.pictures:
            if picture.image.mode not in ("L", "RGB"):
                yield f"the gallery {gallery.name!r} has a picture of mode {picture.image.mode}, neither L nor RGB"
            if not picture.alt.strip():
                yield f"the gallery {gallery.name!r} has a picture without alt, a description in words"
    names = [*(table.name for table in evaluation.tables), *(figure.name for figure in evaluation.figures)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two tables or figures are called {name!r}"


def _misfits_of_figure(figure: Figure) -> Iterator[str]:
    if not figure.alt.strip():
        yield f"the figure {figure.name!r} has no alt, a description in words"
    shape = (len(figure.values), {len(values) for values in figure.values})
    if figure.kind == "matrix" and shape != (len(figure.rows), {len(figure.columns)}):
        yield f"the values of the figure {figure.name!r} don't fit its rows and columns"
    for series in figure.series:
        if len(series.x) != len(series.y):
            yield f"a series of the figure {figure.name!r} has {len(series.x)} x and {len(series.y)} y"


def _compare(name: str, best: float, perfect: Metric, chance: Metric | None, classes: int) -> Iterator[str]:
    if perfect.value is None or abs(perfect.value - best) > 1e-6:
        yield f"with {classes} classes, {name} is {perfect.value} for perfect predictions, not {best:g}"
        return
    if chance is None or chance.value is None:
        return
    observed = f"with {classes} classes, {name} is {chance.value:.3g} for random predictions"
    expected = CHANCE.get(name, chance.value)
    expected = 1 / classes if expected is None else expected
    if abs(chance.value - best) <= abs(perfect.value - best):
        yield f"{observed}, as good as for perfect ones"
    elif abs(chance.value - expected) > 0.15:
        yield f"{observed}, not {expected:.3g}"


def _difference(one: Any, other: Any, path: str = "") -> str:
    """The first difference, but for what rounding does to sums: where, and both values; empty if there is none."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        parts = ((f"{path}.{key}".lstrip("."), one[key], other[key]) for key in one)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        parts = ((f"{path}.{number}", *pair) for number, pair in enumerate(zip(one, other, strict=True)))
    elif isinstance(one, float) and isinstance(other, float):
        equal = math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
        return "" if equal else f"{path}: {one} and {other}"
    else:
        return "" if bool(np.all(one == other)) else f"{path}: {one} and {other}"
    return next(filter(None, (_difference(a, b, where) for where, a, b in parts)), "")
