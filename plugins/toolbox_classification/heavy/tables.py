"""The per-class report, plain and with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from toolbox.api.evaluator import Table
from toolbox.api.statistics import Area, Bootstrap, MetricInfo, PredictionSet, auc_metric, one_vs_rest


def per_class(matrix: npt.NDArray[np.int64], predictions: PredictionSet, classes: Sequence[str]) -> Table:
    """Precision, recall, specificity, F1, AUC against the rest and support of each class; ``None`` where undefined."""
    rows: list[list[str | float | int | None]] = []
    for index, name in enumerate(classes):
        correct = int(matrix[index, index])
        truth, predicted = int(matrix[index].sum()), int(matrix[:, index].sum())
        others = int(matrix.sum()) - truth
        area = class_auc(predictions, index)
        rows.append(
            [
                name,
                _ratio(correct, predicted),
                _ratio(correct, truth),
                _ratio(others - (predicted - correct), others),
                _ratio(2 * correct, truth + predicted),
                area.value if area else None,
                truth,
            ]
        )
    columns = ["class", "precision", "recall", "specificity", "F1", "AUC", "support"]
    return Table("per-class", "Per class", columns, rows)


def per_class_intervals(bootstrap: Bootstrap, classes: Sequence[str]) -> Table:
    """The same figures and average precision, one a line, each with its 95 % interval."""
    predictions = bootstrap.predictions
    rows: list[list[str | float | int | None]] = []
    for index, name in enumerate(classes):
        area = class_auc(predictions, index)
        metrics = [
            bootstrap.class_metric("precision", index, "precision"),
            bootstrap.class_metric("recall", index, "recall"),
            bootstrap.class_metric("specificity", index, "specificity"),
            bootstrap.class_metric("f1", index, "F1"),
            auc_metric(area, predictions.units.grouped, MetricInfo("AUC")),
            bootstrap.class_average_precision(index, "average precision"),
        ]
        rows += [[name, each.label, each.value, each.low, each.high, each.method] for each in metrics]
    columns = ["class", "metric", "value", "low", "high", "interval by"]
    return Table("per-class-intervals", "Per class, with 95 % intervals", columns, rows)


def class_auc(predictions: PredictionSet, index: int) -> Area | None:
    """The AUC of one class against the rest."""
    units = predictions.units
    return one_vs_rest(predictions.targets == index, predictions.probabilities[:, index], units.index, units.count)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
