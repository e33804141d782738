"""The per-class report, plain and with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from toolbox.api.evaluator import Table
from toolbox.api.statistics import Answers, Area, Info, Resampled, of_area, one_against_rest


def per_class(matrix: npt.NDArray[np.int64], answers: Answers, classes: Sequence[str]) -> Table:
    """Precision, recall, specificity, F1, AUC against the rest and support of each class; ``None`` where undefined."""
    rows: list[list[str | float | int | None]] = []
    for index, name in enumerate(classes):
        hits = int(matrix[index, index])
        truth, guessed = int(matrix[index].sum()), int(matrix[:, index].sum())
        others = int(matrix.sum()) - truth
        area = area_of(answers, index)
        rows.append(
            [
                name,
                _ratio(hits, guessed),
                _ratio(hits, truth),
                _ratio(others - (guessed - hits), others),
                _ratio(2 * hits, truth + guessed),
                area.value if area else None,
                truth,
            ]
        )
    columns = ["class", "precision", "recall", "specificity", "F1", "AUC", "support"]
    return Table("per-class", "Per class", columns, rows)


def per_class_intervals(found: Resampled, classes: Sequence[str]) -> Table:
    """The same figures and average precision, one a line, each with its 95 % interval."""
    answers = found.answers
    rows: list[list[str | float | int | None]] = []
    for index, name in enumerate(classes):
        area = area_of(answers, index)
        metrics = [
            found.of_class("precision", index, "precision"),
            found.of_class("recall", index, "recall"),
            found.of_class("specificity", index, "specificity"),
            found.of_class("f1", index, "F1"),
            of_area(area, answers.units.grouped, Info("AUC")),
            found.average_precision_of(index, "average precision"),
        ]
        rows += [[name, each.label, each.value, each.low, each.high, each.method] for each in metrics]
    columns = ["class", "metric", "value", "low", "high", "interval by"]
    return Table("per-class-intervals", "Per class, with 95 % intervals", columns, rows)


def area_of(answers: Answers, index: int) -> Area | None:
    """The AUC of one class against the rest."""
    units = answers.units
    return one_against_rest(answers.targets == index, answers.probabilities[:, index], units.of, units.count)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
