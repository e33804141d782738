"""The evaluator's figures, as data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional import classification as tm

from toolbox.plugin.protocols import Figure, Series

_POINTS = 200


def confusion_figure(matrix: npt.NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Counts, rows true and columns predicted."""
    right, total = int(np.trace(matrix)), int(matrix.sum())
    return Figure(
        name="confusion-matrix",
        title="Confusion matrix",
        kind="matrix",
        alt=f"Confusion matrix of {len(classes)} classes: {right} of {total} samples lie on the diagonal.",
        x_label="predicted",
        y_label="true",
        rows=list(classes),
        columns=list(classes),
        values=matrix.astype(float).tolist(),
        square=True,
    )


def roc_figure(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[str],
    positive: int | None,
) -> list[Figure]:
    """The ROC curve, one for each class where there are more than two; nothing where no class can have one."""
    chosen = [1 if positive is None else positive] if len(classes) == 2 else range(len(classes))
    series = []
    for index in chosen:
        hits = targets == index
        if hits.all() or not hits.any():
            continue
        scores, truth = torch.from_numpy(probabilities[:, index]), torch.from_numpy(hits).long()
        false_positive, true_positive, _ = tm.binary_roc(scores, truth)
        area = tm.binary_auroc(scores, truth).item()
        x, y = _thinned(false_positive.numpy(), true_positive.numpy())
        series.append(Series(f"{classes[index]} (AUC {area:.3f})", x, y))
    if not series:
        return []
    names = ", ".join(line.name for line in series)
    chance = Series("chance", [0.0, 1.0], [0.0, 1.0], dashed=True)
    return [
        Figure(
            name="roc",
            title="ROC",
            kind="lines",
            alt=f"ROC curves from probabilities: {names}.",
            x_label="false positive rate",
            y_label="true positive rate",
            series=[*series, chance],
            square=True,
        )
    ]


def _thinned(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> tuple[list[float], list[float]]:
    """The curve's corners (points on a straight line tell nothing), and of those at most some hundred."""
    bends = np.ones(len(x), dtype=bool)
    cross = np.diff(x)[:-1] * np.diff(y)[1:] - np.diff(x)[1:] * np.diff(y)[:-1]
    bends[1:-1] = np.abs(cross) > 1e-12
    corners = np.flatnonzero(bends)
    if len(corners) > _POINTS:
        corners = corners[np.unique(np.linspace(0, len(corners) - 1, _POINTS).astype(int))]
    return x[corners].astype(float).tolist(), y[corners].astype(float).tolist()
