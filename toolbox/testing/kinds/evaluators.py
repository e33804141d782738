"""What the core relies on in an evaluator: figures that hang on the evidence alone, and say what they seem to say.

The predictions are made up (:mod:`toolbox.testing.evidence`), with a column ``site`` (``north``, ``south``) for
evaluators that want one. One that asks for a model gets a small one, without training, and its predictions on the
embedded dataset.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Metric
from toolbox.evaluation.evaluate import restored
from toolbox.testing import evidence as made
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.pictures import seeded, watched
from toolbox.testing.subject import Subject

COUNT = 48
"""Predictions of an ordinary evidence."""

MANY = 240
"""Predictions where chance is to be told from skill."""

CLOSE = 1e-9
"""Relative difference that sums in another order may have."""

BEST = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "auc"), 1.0),
    **dict.fromkeys(("average_precision", "mcc", "kappa"), 1.0),
    **dict.fromkeys(("error", "error_rate", "log_loss", "brier", "ece"), 0.0),
}
"""What well-known metrics are when every prediction is right and certain; ``perfect`` of an evaluator adds to it."""

CHANCE = {"accuracy": 1, "balanced_accuracy": 1, "auc": 0, "mcc": 0, "kappa": 0}
"""Metrics that random predictions bring to a known value, see :func:`_by_chance`."""

check = Checks(Evaluator)


@check
def gives_an_evaluation(subject: Subject) -> Problems:
    """``evaluate`` gives an :class:`Evaluation`, for two classes and for more, with groups and without.

    Each metric has a name and is a :class:`Metric`, each table has as many values in a row as it has columns, and
    matrices and lines fit their axes: the report draws them without looking.
    """
    for given in _evidences(subject):
        found = _evaluated(subject, given)
        if not isinstance(found, Evaluation):
            yield f"evaluate gives a {type(found).__name__}, not an Evaluation"
            return
        yield from _misfits(found)


@check
def written_and_read_again(subject: Subject) -> Problems:
    """All of it is JSON, and the same when read again: ``evaluation.json`` is what the report is made of.

    NumPy's numbers are none (write ``float(…)``, ``.tolist()``), and a value that is not defined is ``None``, not NaN.
    """
    for given in _evidences(subject):
        # Pictures become files beside it.
        found = replace(_evaluated(subject, given), galleries=())
        try:
            text = json.dumps(_written(found), allow_nan=False)
        except (TypeError, ValueError) as error:
            yield f"what it gives can't be written as JSON: {error}"
            return
        again = replace(restored(json.loads(text)), extra=json.loads(text)["extra"])
        if json.dumps(_written(again)) != text:
            yield "what it gives is not the same when it was written as JSON and read again"


@check
def intervals_hold_the_value(subject: Subject) -> Problems:
    """``low`` and ``high`` are given both or neither, with the value between them, all of them numbers.

    A metric without a value has no interval.
    """
    for given in _evidences(subject):
        for name, metric in _evaluated(subject, given).metrics.items():
            ends = (metric.low, metric.high)
            if (metric.low is None) != (metric.high is None):
                yield f"{name} has one end of an interval only: {ends}"
            elif metric.low is not None and metric.high is not None:
                if metric.value is None:
                    yield f"{name} has no value, but the interval {ends}"
                elif not metric.low - 1e-12 <= metric.value <= metric.high + 1e-12:
                    yield f"{name} is {metric.value:.6g}, outside its interval {metric.low:.6g} to {metric.high:.6g}"
            if any(part is not None and not math.isfinite(part) for part in (metric.value, *ends)):
                yield f"{name} holds a value that is no number: {metric.value}, {ends}"


@check
def order_does_not_matter(subject: Subject) -> Problems:
    """The samples in another order give the same, resampled intervals included.

    Two machines list the same files in different orders; sort by ``evidence.ids`` before anything is drawn.
    """
    for given in _evidences(subject):
        order = np.random.default_rng(0).permutation(len(given.ids)).tolist()
        first, other = _evaluated(subject, given), subject.made.evaluate(made.reordered(given, order))
        if difference := _difference(first, other):
            yield f"the same samples in another order give {difference}"
            return


@check
def hangs_on_its_evidence_alone(subject: Subject) -> Problems:
    """The same evidence gives the same again, and is not changed. What is random is drawn by ``evidence.seed``."""
    given = _new_evidences(subject)[0]  # no check before has had it in hand
    before = (given.targets.copy(), given.probabilities.copy())
    found: list[str] = []
    with seeded(1), watched(found):
        first = subject.made.evaluate(given)
    with seeded(2):
        again = subject.again().evaluate(given)
    if not (np.array_equal(given.targets, before[0]) and np.array_equal(given.probabilities, before[1])):
        yield "evaluate writes into the evidence"
    elif difference := _difference(first, again):
        yield f"the same evidence gives {difference} the second time"
    if found and not subject.made.needs_model:
        yield f"evaluate draws from {' and '.join(found)} shared generator"


@check
def perfect_and_random_differ_as_they_should(subject: Subject) -> Problems:
    """Right and certain predictions give what ``perfect`` names, and random ones are further from it.

    Well-known metrics are held to what is known of them: an accuracy of 1, and by chance one over the number of
    classes; an AUC of 1 and a half; a kappa of 1 and 0. Where nothing is known, something must differ, at least. Not
    for evaluators that ask a model, whose predictions are what they are.
    """
    if subject.made.needs_model:
        return
    for classes in (2, 3):
        targets = made.balanced(MANY, classes)
        right, chance = (
            subject.made.evaluate(_as_asked(subject, made.evidence(targets, probabilities)))
            for probabilities in (made.certain(targets, classes), made.random(MANY, classes))
        )
        declared = dict(subject.made.perfect)
        expected = {name: value for name, value in {**BEST, **declared}.items() if name in right.metrics}
        for name in sorted(set(declared) - set(right.metrics)):
            yield f"it says what {name!r} is for perfect predictions, and gives no such metric"
        for name, best in expected.items():
            yield from _compared(name, best, right.metrics[name], chance.metrics.get(name), classes)
        if not expected and not _difference(right, chance):
            yield "perfect and random predictions give the same: it looks at no prediction"


@check
def an_empty_class_is_no_accident(subject: Subject) -> Problems:
    """A class without samples, one that is never predicted, a single sample: each gives an evaluation.

    A test split of a rare class may be empty. What is not defined then is ``None``, and the rest is there.
    """
    if subject.made.needs_model:
        return  # whose classes are what they are
    for what, given in _odd_cases().items():
        try:
            found = subject.made.evaluate(_as_asked(subject, given))
            json.dumps(_written(found), allow_nan=False)
        except Exception as error:
            yield f"with {what} it fails: {type(error).__name__}: {' '.join(str(error).split())}"
            continue
        if not any(metric.value is not None for metric in found.metrics.values()) and found.metrics:
            yield f"with {what} not one metric has a value"


@check
def no_predictions_are_told(subject: Subject) -> Problems:
    """Evidence without any sample is a ``UsageError``, which is told in a line."""
    given = made.reordered(_evidences(subject)[0], [])
    try:
        subject.made.evaluate(given)
    except UsageError:
        return
    yield "evidence without samples is evaluated as if there were some; raise a UsageError"


def _written(found: Evaluation) -> dict[str, Any]:
    """What ``evaluation.json`` holds of it; pictures become files beside it."""
    return {
        "metrics": {name: asdict(metric) for name, metric in found.metrics.items()},
        "tables": [asdict(table) for table in found.tables],
        "figures": [asdict(figure) for figure in found.figures],
        "extra": dict(found.extra),
        "notes": list(found.notes),
    }


def _evidences(subject: Subject) -> list[Evidence]:
    """What an evaluator may be given in earnest."""
    found: list[Evidence] = subject.keep("evidences", lambda: _new_evidences(subject))
    return found


def _new_evidences(subject: Subject) -> list[Evidence]:
    """Images and model only where they are asked for, as in earnest."""
    if subject.made.needs_model:
        return [_as_asked(subject, made.real())]
    cases = ((2, False), (3, False), (3, True))
    return [_as_asked(subject, made.ordinary(COUNT, classes, grouped)) for classes, grouped in cases]


def _as_asked(subject: Subject, given: Evidence) -> Evidence:
    asked = subject.made
    return replace(
        given, images=given.images if asked.needs_images else None, model=given.model if asked.needs_model else None
    )


def _evaluated(subject: Subject, given: Evidence) -> Evaluation:
    found: Evaluation = subject.keep(("evaluation", id(given)), lambda: subject.made.evaluate(given))
    return found


def _odd_cases() -> dict[str, Evidence]:
    two_of_three = np.repeat([0, 2], COUNT // 2)
    shy = made.random(COUNT, 3)
    shy[:, 1] = 0
    shy /= shy.sum(1, keepdims=True)
    return {
        "a class without samples": made.evidence(two_of_three, made.random(COUNT, 3)),
        "a class that is never predicted": made.evidence(made.balanced(COUNT, 3), shy),
        "samples of one class only": made.evidence(np.ones(COUNT, int), made.random(COUNT, 2)),
        "a single sample": made.evidence([1], made.random(1, 2)),
    }


def _misfits(found: Evaluation) -> Iterator[str]:
    for name, metric in found.metrics.items():
        if not isinstance(name, str) or not isinstance(metric, Metric):
            yield f"the metric {name!r} is a {type(metric).__name__}, not a Metric"
    for table in found.tables:
        if any(len(row) != len(table.columns) for row in table.rows):
            yield f"the table {table.name!r} has rows that are not as long as its {len(table.columns)} columns"
    for figure in found.figures:
        if not figure.alt.strip():
            yield f"the figure {figure.name!r} has no alt, which says in words what it shows"
        if figure.kind == "matrix" and (
            len(figure.values) != len(figure.rows) or any(len(row) != len(figure.columns) for row in figure.values)
        ):
            yield f"the values of the figure {figure.name!r} don't fit its rows and columns"
        for series in figure.series:
            if len(series.x) != len(series.y):
                yield f"a series of the figure {figure.name!r} has {len(series.x)} x and {len(series.y)} y"
    for gallery in found.galleries:
        for picture in gallery.pictures:
            if picture.image.mode not in ("L", "RGB"):
                yield f"the gallery {gallery.name!r} has a picture of mode {picture.image.mode}, neither L nor RGB"
            if not picture.alt.strip():
                yield f"the gallery {gallery.name!r} has a picture without alt, which says in words what it shows"
    names = [*(table.name for table in found.tables), *(figure.name for figure in found.figures)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two tables or figures are called {name!r}"


def _compared(name: str, best: float, right: Metric, chance: Metric | None, classes: int) -> Iterator[str]:
    if right.value is None or abs(right.value - best) > 1e-6:
        yield f"with {classes} classes, {name} is {right.value} for perfect predictions, not {best:g}"
        return
    if chance is None or chance.value is None:
        return
    said = f"with {classes} classes, {name} is {chance.value:.3g} for random predictions"
    if abs(chance.value - best) <= abs(right.value - best):
        yield f"{said}, as good as for perfect ones"
    elif name in CHANCE and abs(chance.value - (by_chance := _by_chance(name, classes))) > 0.15:
        yield f"{said}; {by_chance:.3g} is chance"


def _by_chance(name: str, classes: int) -> float:
    if name == "auc":
        return 0.5
    return 1 / classes if CHANCE[name] else 0.0


def _difference(one: Evaluation, other: Evaluation) -> str:
    """The first thing that differs, in words; empty where nothing does."""
    for name in {**one.metrics, **other.metrics}:
        a, b = one.metrics.get(name), other.metrics.get(name)
        if a is None or b is None or not _same(asdict(a), asdict(b)):
            return f"another {name}: {_shown(a)} and {_shown(b)}"
    for what in ("tables", "figures", "extra", "notes"):
        a, b = getattr(one, what), getattr(other, what)
        if not _same(_plain(a), _plain(b)):
            return f"other {what}"
    if _shown_in(one) != _shown_in(other):
        return "other galleries"
    return ""


def _shown_in(found: Evaluation) -> list[tuple[str, str, str, bytes]]:
    """Each picture of the galleries: where it is, what is said of it, and its pixels."""
    return [
        (gallery.name, picture.alt, picture.caption, picture.image.tobytes())
        for gallery in found.galleries
        for picture in gallery.pictures
    ]


def _shown(metric: Metric | None) -> str:
    return "none" if metric is None else f"{metric.value} ({metric.low} to {metric.high})"


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=asdict))


def _same(a: Any, b: Any) -> bool:
    """Equal, but for what rounding may do to a sum."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)
