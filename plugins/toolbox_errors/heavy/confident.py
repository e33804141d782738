"""Confident learning: find probable label errors from out-of-sample predictions.

Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", Journal of
Artificial Intelligence Research 70 (2021), 1373-1411.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def suggest_labels(labels: Integers, probabilities: Floats) -> Integers:
    """Suggest a class for each sample: its own label unless confident learning doubts it.

    A class's threshold is its mean probability over the samples with that label. A sample counts as one of
    another class where that class reaches its threshold and is the likeliest of those that do: it then lies off the
    diagonal of the paper's confident joint. A sample whose label is the most probable class is never doubted.
    ``labels``: int64 ``[N]``; ``probabilities``: float64 ``[N, K]``. Returns int64 ``[N]``.
    """
    thresholds = np.full(probabilities.shape[1], np.inf)  # a class without samples has none
    for label in np.unique(labels):
        thresholds[label] = probabilities[labels == label, label].mean()
    above_threshold = probabilities >= thresholds - 1e-9
    likeliest = np.where(above_threshold, probabilities, -1).argmax(1)
    doubtful = above_threshold.any(1) & (likeliest != labels) & (probabilities.argmax(1) != labels)
    return np.where(doubtful, likeliest, labels).astype(np.int64)
