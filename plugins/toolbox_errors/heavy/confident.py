"""Confident learning: which labels are probably wrong, by what a model says of images that it was not trained on.

Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", Journal of
Artificial Intelligence Research 70 (2021), 1373-1411.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def suggested(labels: Integers, probabilities: Floats) -> Integers:
    """The class that each sample more probably is of: its label where that may stand.

    A class's threshold is the mean probability that it gets from the samples labelled so. A sample counts as one of
    another class where that class reaches its threshold and is the likeliest of those that do: it then lies off the
    diagonal of the paper's confident joint. One whose label is the most probable class all the same is left alone.
    ``labels``: int64 ``[N]``; ``probabilities``: float64 ``[N, K]``. Returns int64 ``[N]``.
    """
    thresholds = np.full(probabilities.shape[1], np.inf)  # a class without samples has none
    for label in np.unique(labels):
        thresholds[label] = probabilities[labels == label, label].mean()
    reached = probabilities >= thresholds - 1e-9
    likeliest = np.where(reached, probabilities, -1).argmax(1)
    doubted = reached.any(1) & (likeliest != labels) & (probabilities.argmax(1) != labels)
    return np.where(doubted, likeliest, labels).astype(np.int64)
