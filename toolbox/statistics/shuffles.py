"""Labels shuffled among groups, and a permutation test of the accuracy that a network reaches on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

DRAWS = 1999
"""Shuffles that the test compares with: the smallest p-value is 1/2,000."""


@dataclass(frozen=True)
class GroupLabels:
    """``labels`` and ``folds`` of the groups, int64 ``[G]``.

    A shuffle exchanges labels among the groups of one fold. Each fold keeps its labels, so that test labels are random
    whatever the training labels are. (Shuffled over all folds, a class that is rare in training is frequent in the
    test fold, which puts accuracy below chance.)
    """

    labels: Integers
    folds: Integers

    def shuffle(self, rng: np.random.Generator, count: int) -> Integers:
        """``count`` shuffles, int64 ``[count, G]``."""
        shuffled = np.empty((count, len(self.labels)), dtype=np.int64)
        for fold in np.unique(self.folds):
            members = np.flatnonzero(self.folds == fold)
            shuffled[:, members] = rng.permuted(np.tile(self.labels[members], (count, 1)), axis=1)
        return shuffled


@dataclass(frozen=True)
class TestPredictions:
    """What one training predicts: ``predicted`` classes of test images and their ``groups``, int64 ``[N]``."""

    __test__ = False  # pytest

    predicted: Integers
    groups: Integers
    labels: Integers
    """The shuffled labels of all groups that the network was trained with, int64 ``[G]``."""


@dataclass(frozen=True)
class ShuffleTest:
    """``accuracy`` over all test images; ``chance``, ``low`` and ``high``: mean and 95 % range of other shuffles.

    ``p_value``: how often other shuffles give a higher accuracy (one-sided); among equal ones the order is random, so
    that exactly 5 % of p-values are .05 or less where there is nothing to learn.
    """

    accuracy: float
    chance: float
    low: float
    high: float
    p_value: float


def compare_with_chance(
    trainings: Sequence[TestPredictions], groups: GroupLabels, rng: np.random.Generator, draws: int = DRAWS
) -> ShuffleTest:
    """Test whether the predictions of all ``trainings`` fit their own shuffled labels better than other shuffles.

    The statistic is the accuracy over all trainings; the null distribution draws another shuffle for each. This is
    exact where each training has a shuffle of its own and is tested on one fold: given its training labels, each
    shuffle of the test fold is equally likely. Pooling the folds of one shuffle would not be, as each fold's labels
    are then both learned and tested (Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9, 2010, for the p-value).
    """
    every_group = np.arange(len(groups.labels))
    classes = 1 + max(int(groups.labels.max()), *(int(each.predicted.max()) for each in trainings))
    hits, by_chance = 0, np.zeros(draws, dtype=np.int64)
    for each in trainings:
        counts = np.zeros((len(every_group), classes), dtype=np.int64)
        np.add.at(counts, (each.groups, each.predicted), 1)
        hits += int(counts[every_group, each.labels].sum())
        by_chance += counts[every_group, groups.shuffle(rng, draws)].sum(1)
    total = sum(len(each.predicted) for each in trainings)
    low, high = np.quantile(by_chance, (0.025, 0.975)) / total
    ties = int((by_chance == hits).sum())
    at_least = int((by_chance > hits).sum()) + int(rng.integers(ties + 1))
    p = (1 + at_least) / (1 + draws)
    return ShuffleTest(hits / total, float(by_chance.mean()) / total, float(low), float(high), p)
