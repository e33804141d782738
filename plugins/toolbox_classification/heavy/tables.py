"""The per-class report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional import classification as tm

from toolbox.plugin.protocols import Table


def per_class_table(
    matrix: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[str],
) -> Table:
    """Precision, recall, specificity, F1, AUC against the rest and support of each class; ``None`` where undefined."""
    rows: list[list[str | float | int | None]] = []
    for index, name in enumerate(classes):
        hits = int(matrix[index, index])
        truth, guessed = int(matrix[index].sum()), int(matrix[:, index].sum())
        others = int(matrix.sum()) - truth
        rows.append(
            [
                name,
                _ratio(hits, guessed),
                _ratio(hits, truth),
                _ratio(others - (guessed - hits), others),
                _ratio(2 * hits, truth + guessed),
                _auc(targets == index, probabilities[:, index]) if truth and others else None,
                truth,
            ]
        )
    columns = ["class", "precision", "recall", "specificity", "F1", "AUC", "support"]
    return Table("per-class", "Per class", columns, rows)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _auc(positive: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> float:
    return float(tm.binary_auroc(torch.from_numpy(scores), torch.from_numpy(positive).long()).item())
