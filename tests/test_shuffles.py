"""The canary's test: how often it sees leakage where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from toolbox.statistics.shuffles import GroupLabels, TestPredictions, compare_with_chance

FOLDS = 5


def groups_of(count: int, share: float) -> GroupLabels:
    """``count`` groups in stratified folds, ``share`` of them with label 1."""
    labels = (np.arange(count) >= count * (1 - share)).astype(np.int64)
    return GroupLabels(labels, np.arange(count) % FOLDS)


def test_each_fold_keeps_its_labels() -> None:
    groups = groups_of(40, 0.3)
    shuffled = groups.shuffle(np.random.default_rng(0), 50)
    for fold in range(FOLDS):
        members = groups.folds == fold
        assert (np.sort(shuffled[:, members], 1) == np.sort(groups.labels[members])).all()
    assert len(np.unique(shuffled, axis=0)) == 50


def canary(groups: GroupLabels, slices: int, divide: bool, rng: np.random.Generator) -> float:
    """The p-value for networks that say what similar training images say; images of a group are nearly equal."""
    count = len(groups.labels)
    features = np.repeat(rng.normal(size=(count, 3)), slices, 0) + 0.1 * rng.normal(size=(count * slices, 3))
    group = np.repeat(np.arange(count), slices)
    fold = rng.permutation(len(group)) % FOLDS if divide else groups.folds[group]
    trainings = []
    for index, labels in enumerate(groups.shuffle(rng, FOLDS)):
        training, test = fold != index, fold == index
        distances = ((features[test][:, None] - features[training]) ** 2).sum(2)
        votes = np.exp(-distances) @ (labels[group[training]] - groups.labels.mean())
        trainings.append(TestPredictions((votes > 0).astype(np.int64), group[test], labels))
    return compare_with_chance(trainings, groups, rng, draws=199).p_value


@pytest.mark.parametrize(("count", "share"), [(20, 0.5), pytest.param(60, 0.2, marks=pytest.mark.slow)])
def test_false_alarms_are_as_many_as_they_should_be(count: int, share: float) -> None:
    rng, reps = np.random.default_rng(7), 1000
    groups = groups_of(count, share)
    alarms = sum(canary(groups, 4, False, rng) <= 0.05 for _ in range(reps))
    print(f"{count} groups, {share:.0%} of class 1: {100 * alarms / reps:.1f} % false alarms")
    assert binom.cdf(alarms, reps, 0.05) > 0.001 and binom.sf(alarms - 1, reps, 0.05) > 0.001


def test_leakage_is_found_where_groups_are_divided() -> None:
    rng = np.random.default_rng(0)
    assert all(canary(groups_of(60, 0.5), 4, True, rng) < 0.01 for _ in range(20))
