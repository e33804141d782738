"""The mean difference of two arms over seeds or folds, with a standard error that fits the design.

One test set, several seeds: images and seeds both vary, a two-way layout without replication (Scheffé, The Analysis of
Variance, 1959, chapter 7). A bootstrap of seeds would be too narrow by (S - 1)/S, a third with three seeds.

Several test sets (folds): the seeds of a fold are averaged and folds are the units, with the variance of the corrected
resampled t-test, because folds share training images. Sources: Nadeau and Bengio, Machine Learning 52 (2003), 239-281;
for repeated folds compare Bouckaert and Frank, PAKDD 2004, 3-12. ``tests/benchmarks/verdicts.py`` measures how often
either design names a false winner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from toolbox.statistics.proportions import POWER

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean difference, its standard error, and the degrees of freedom of Student's t."""

    value: float
    error: float
    freedom: float

    @property
    def p_value(self) -> float:
        """Two-sided."""
        return float(2 * t.sf(abs(self.value) / self.error, self.freedom))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Student's interval of the difference."""
        reach = float(t.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach

    @property
    def detectable(self) -> float:
        """The true difference that the test at 5 % finds with 80 % power."""
        return float(t.ppf(0.975, self.freedom) + t.ppf(POWER, self.freedom)) * self.error


def average_over_folds(divisions: Sequence[Sequence[Floats]], test_to_train: float) -> Estimate:
    """Average the seeds of each fold, the folds of each division of the images, and the divisions.

    ``divisions``: for each division into folds, the differences of each fold's seeds; two folds or more in all.
    ``test_to_train``: test images for each training image; 1/(K - 1) for K folds.

    The variance of one division is (1/K + test/train) s², with s² between its folds. The mean of R divisions has
    (1 - 1/R) of the variance between them less. Divisions of one fold each (random subsampling) have no s² of their
    own: there s² is taken over all of them.
    """
    means = [np.array([np.mean(seeds) for seeds in folds]) for folds in divisions]
    if not any(len(folds) > 1 for folds in means):
        means = [np.concatenate(means)]
    spread = [float(folds.var(ddof=1)) for folds in means if len(folds) > 1]
    count = sum(map(len, means))
    between_folds = float(np.mean(spread))
    by_division = np.array([folds.mean() for folds in means])
    variance = (len(means) / count + test_to_train) * between_folds
    if len(means) > 1:
        variance -= (1 - 1 / len(means)) * float(by_division.var(ddof=1))
    error = math.sqrt(max(variance, between_folds / count))
    return Estimate(float(by_division.mean()), error, count - len(means))


def average_over_seeds(differences: Floats, influences: Floats) -> Estimate:
    """Average seeds that share one test set, so that the result holds for other images and other seeds.

    ``differences``: ``[S]``, one a seed, two or more. ``influences``: ``[S, units]``, how much each unit pulls each
    difference; squares summed over units are the variance of one difference.
    """
    seeds, units = influences.shape
    of_units = float((influences.mean(0) ** 2).sum())
    of_seeds = float(differences.var(ddof=1)) / seeds
    both = float(((influences - influences.mean(0)) ** 2).sum()) / (seeds * (seeds - 1))
    variance = of_units + max(0.0, of_seeds - both)
    parts = of_units**2 / max(1, units - 1)
    if of_seeds > both:
        parts += of_seeds**2 / (seeds - 1) + both**2 / max(1, (units - 1) * (seeds - 1))
    freedom = max(1.0, variance**2 / parts) if parts else 1.0
    return Estimate(float(differences.mean()), math.sqrt(variance), freedom)
