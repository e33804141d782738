"""The evaluator's figures, as data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from toolbox.api.evaluator import Figure, Metric, Series
from toolbox.api.statistics import BINS, PredictionSet

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
    series = []
    for index in _curve_classes(classes, positive):
        hits = targets == index
        if hits.all() or not hits.any():
            continue
        false_positive, true_positive, _ = sk.roc_curve(hits, probabilities[:, index])
        area = sk.auc(false_positive, true_positive)
        series.append(Series(f"{classes[index]} (AUC {area:.3f})", *_thin(false_positive, true_positive)))
    chance = Series("chance", [0.0, 1.0], [0.0, 1.0], dashed=True)
    return _curves("roc", "ROC", ("false positive rate", "true positive rate"), series, chance)


def precision_recall_figure(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[str],
    positive: int | None,
) -> list[Figure]:
    """Precision over recall, a curve for each class (of two: the positive one); nothing where no class has samples."""
    series, shares = [], []
    for index in _curve_classes(classes, positive):
        hits = targets == index
        if not hits.any():
            continue
        precision, recall, _ = sk.precision_recall_curve(hits, probabilities[:, index])
        mean = sk.average_precision_score(hits, probabilities[:, index])
        shares.append(float(hits.mean()))
        name = f"{classes[index]} (average precision {mean:.3f})"
        series.append(Series(name, *_thin(recall[::-1], precision[::-1])))
    chance = None
    if len(shares) == 1:
        chance = Series(f"chance ({shares[0]:.2f})", [0.0, 1.0], [shares[0], shares[0]], dashed=True)
    return _curves("precision-recall", "Precision and recall", ("recall", "precision"), series, chance)


def _curve_classes(classes: Sequence[str], positive: int | None) -> Sequence[int]:
    """The classes that have a curve: each, or of two the positive one."""
    return [1 if positive is None else positive] if len(classes) == 2 else range(len(classes))


def _curves(
    name: str, title: str, labels: tuple[str, str], series: Sequence[Series], chance: Series | None
) -> list[Figure]:
    """The figure of ``series``, with what chance would give; none where there are no series."""
    if not series:
        return []
    return [
        Figure(
            name=name,
            title=title,
            kind="lines",
            alt=f"{title} curves from probabilities: {', '.join(line.name for line in series)}.",
            x_label=labels[0],
            y_label=labels[1],
            series=[*series, chance] if chance else list(series),
            square=True,
        )
    ]


def reliability_figure(predictions: PredictionSet, error: Metric) -> Figure:
    """Accuracy over mean confidence by calibration bin; bins without samples are left out."""
    counts = np.bincount(predictions.bins, minlength=BINS)
    filled = counts > 0
    confidence = np.bincount(predictions.bins, predictions.probabilities.max(1), BINS)[filled] / counts[filled]
    right = np.bincount(predictions.bins, predictions.correct, BINS)[filled] / counts[filled]
    return Figure(
        name="reliability",
        title="Reliability",
        kind="lines",
        alt=f"Reliability diagram in {int(filled.sum())} bins: expected calibration error {error.value or 0:.3f}.",
        x_label="mean confidence",
        y_label="accuracy",
        series=[
            Series("this model", confidence.tolist(), right.tolist()),
            Series("perfectly calibrated", [0.0, 1.0], [0.0, 1.0], dashed=True),
        ],
        square=True,
    )


def _thin(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> tuple[list[float], list[float]]:
    """The curve's corners (points on a straight line tell nothing), and of those at most some hundred."""
    bends = np.ones(len(x), dtype=bool)
    cross = np.diff(x)[:-1] * np.diff(y)[1:] - np.diff(x)[1:] * np.diff(y)[:-1]
    bends[1:-1] = np.abs(cross) > 1e-12
    corners = np.flatnonzero(bends)
    if len(corners) > _POINTS:
        corners = corners[np.unique(np.linspace(0, len(corners) - 1, _POINTS).astype(int))]
    return x[corners].astype(float).tolist(), y[corners].astype(float).tolist()
