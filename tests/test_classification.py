"""The classification evaluator against scikit-learn, the source study's table, and its own laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evaluation, Evidence
from toolbox.statistics.scores import METRICS
from toolbox_classification.heavy.evaluator import Classification


def evidence(targets: np.ndarray, probabilities: np.ndarray, groups: tuple[str, ...] = ()) -> Evidence:
    ids = [f"{index:05d}" for index in range(len(targets))]
    classes = [f"class {index}" for index in range(probabilities.shape[1])]
    return Evidence(ids, targets.astype(np.int64), probabilities, classes, groups=groups)


def random(seed: int, count: int, classes: int, skill: float = 1.0) -> Evidence:
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
    logits = rng.normal(size=(count, classes)) + skill * np.eye(classes)[targets]
    return evidence(targets, np.exp(logits) / np.exp(logits).sum(1, keepdims=True))


def of_matrix(matrix: list[list[int]], confidence: float = 0.9) -> Evidence:
    """Predictions that have this confusion matrix."""
    pairs = [(t, p) for t, row in enumerate(matrix) for p, count in enumerate(row) for _ in range(count)]
    targets, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    probabilities = np.full((len(pairs), len(matrix)), (1 - confidence) / (len(matrix) - 1))
    probabilities[np.arange(len(pairs)), predicted] = confidence
    return evidence(targets, probabilities)


def value(evaluation: Evaluation, name: str) -> float:
    found = evaluation.metrics[name].value
    assert found is not None
    return found


FEW = Classification(resamples=200)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(12, 80), classes=st.integers(2, 5))
def test_values_are_scikit_learns(seed: int, count: int, classes: int) -> None:
    given = random(seed, count, classes)
    found = FEW.evaluate(given)
    predicted = given.probabilities.argmax(1)
    expected = {
        "accuracy": sk.accuracy_score(given.targets, predicted),
        "precision": sk.precision_score(given.targets, predicted, average="macro", zero_division=0),
        "recall": sk.recall_score(given.targets, predicted, average="macro"),
        "f1": sk.f1_score(given.targets, predicted, average="macro", zero_division=0),
        "balanced_accuracy": sk.balanced_accuracy_score(given.targets, predicted),
        "auc": sk.roc_auc_score(given.targets, given.probabilities[:, 1])
        if classes == 2
        else np.mean([sk.roc_auc_score(given.targets == k, given.probabilities[:, k]) for k in range(classes)]),
    }
    truth, p = given.targets, given.probabilities
    expected |= {
        "mcc": sk.matthews_corrcoef(truth, predicted),
        "kappa": sk.cohen_kappa_score(truth, predicted),
        "log_loss": sk.log_loss(truth, p),
        "brier": sk.brier_score_loss(truth, p[:, 1])
        if classes == 2
        else ((p - np.eye(classes)[truth]) ** 2).sum(1).mean(),
        "average_precision": np.mean([sk.average_precision_score(truth == k, p[:, k]) for k in range(classes)]),
        "ece": float(tm.multiclass_calibration_error(torch.from_numpy(p), torch.from_numpy(truth), classes, n_bins=15)),
    }
    if classes > 2:
        expected["top_k"] = sk.top_k_accuracy_score(truth, p, k=2)
    assert set(expected) | {"specificity"} == set(found.metrics)
    for name, wanted in expected.items():
        assert value(found, name) == pytest.approx(wanted, abs=1e-6), name
    assert found.extra["confusion_matrix"] == sk.confusion_matrix(given.targets, predicted).tolist()
    for name, metric in found.metrics.items():
        info = METRICS[name]
        if metric.low is None:
            assert metric.method.startswith("too few")  # most resamples of so few lack a class
            continue
        assert metric.high is not None and metric.value is not None and metric.method
        assert metric.low <= metric.value <= metric.high
        assert info.least is None or metric.low >= info.least - 1e-9
        assert info.most is None or metric.high <= info.most + 1e-9


# Study A's table: its confusion matrices with the accuracy, precision, recall and DSC that it prints.
STUDY_A = [
    ([[203, 33], [41, 136]], (0.8208, 0.8184, 0.8143, 0.8160)),
    ([[1204, 202], [338, 737]], (0.7823, 0.7828, 0.7710, 0.7744)),
    ([[1613, 320], [417, 958]], (0.7772, 0.7721, 0.7656, 0.7681)),
    ([[209, 33], [50, 121]], (0.7990, 0.7963, 0.7856, 0.7895)),
    ([[179, 63], [29, 142]], (0.7772, 0.7766, 0.7850, 0.7754)),
    ([[201, 41], [50, 121]], (0.7797, 0.7739, 0.7691, 0.7711)),
]


@pytest.mark.parametrize(("matrix", "printed"), STUDY_A)
def test_study_as_matrices_give_its_figures(matrix: list[list[int]], printed: tuple[float, ...]) -> None:
    found = FEW.evaluate(of_matrix(matrix))
    for name, figure in zip(("accuracy", "precision", "recall", "f1"), printed, strict=True):
        assert value(found, name) == pytest.approx(figure, abs=6e-5), name
    # The predictions say yes or no and nothing between: their "AUC" is the macro recall, as in the study.
    assert value(found, "auc") == pytest.approx(value(found, "recall"), abs=1e-9)


def test_the_auc_comes_from_probabilities_not_from_hard_labels() -> None:
    given = random(1, 200, 2)
    hard = sk.roc_auc_score(given.targets, given.probabilities.argmax(1))
    found = value(FEW.evaluate(given), "auc")
    assert (
        found == pytest.approx(sk.roc_auc_score(given.targets, given.probabilities[:, 1])) and abs(found - hard) > 0.01
    )


def test_the_order_of_samples_does_not_matter() -> None:
    given = random(2, 60, 3)
    order = np.random.default_rng(0).permutation(60)
    shuffled = Evidence(
        [given.ids[index] for index in order], given.targets[order], given.probabilities[order], given.classes
    )
    assert FEW.evaluate(given) == FEW.evaluate(shuffled)


def test_accuracy_has_wilsons_interval() -> None:
    metric = FEW.evaluate(of_matrix([[48, 2], [1, 49]])).metrics["accuracy"]
    # By hand: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) for p = 0.97, n = 100.
    assert (metric.low, metric.high) == pytest.approx((0.91548, 0.98975), abs=1e-4)


def test_a_perfect_result_still_has_an_interval() -> None:
    for name, metric in FEW.evaluate(of_matrix([[20, 0], [0, 20]])).metrics.items():
        if not METRICS[name].higher_is_better:
            continue
        assert metric.value == 1 and metric.low is not None and 0.7 < metric.low < 0.95, name
        assert metric.high == 1


def test_whole_groups_are_resampled() -> None:
    given = of_matrix([[40, 10], [10, 40]])
    # Ten samples a group, all right or all wrong: there are ten answers, not a hundred.
    groups = tuple(f"patient {index // 10}" for index in range(100))
    alone, grouped = FEW.evaluate(given).metrics, FEW.evaluate(Evidence(**{**_fields(given), "groups": groups})).metrics
    for name in ("accuracy", "f1"):
        first, second = alone[name], grouped[name]
        assert first.low is not None and first.high is not None and second.low is not None and second.high is not None
        assert second.high - second.low > 1.5 * (first.high - first.low)
    assert "groups" in grouped["accuracy"].method


def test_what_is_not_defined_has_no_value() -> None:
    one_class = evidence(np.zeros(10), np.tile([0.8, 0.2], (10, 1)))
    found = FEW.evaluate(one_class)
    assert found.metrics["auc"].value is None and value(found, "accuracy") == 1
    row = found.tables[0].rows[1]
    assert row[0] == "class 1" and row[1] is None and row[2] is None and row[-1] == 0


def test_the_positive_class_can_be_named() -> None:
    found = Classification(positive="class 1", resamples=200).evaluate(of_matrix([[40, 10], [5, 45]]))
    assert (value(found, "sensitivity"), value(found, "positive_specificity")) == (0.9, 0.8)
    assert value(found, "positive_precision") == pytest.approx(45 / 55)
    with pytest.raises(UsageError, match="class 2"):
        Classification(positive="class 2").evaluate(of_matrix([[1, 1], [1, 1]]))


@pytest.mark.parametrize(
    "broken",
    [
        evidence(np.zeros(0), np.zeros((0, 2))),
        evidence(np.zeros(2), np.array([[0.5, 0.5], [np.nan, 0.5]])),
        evidence(np.zeros(2), np.array([[0.5, 0.5], [0.9, 0.5]])),
        evidence(np.array([0, 2]), np.full((2, 2), 0.5)),
        evidence(np.array([0, 1, 1]), np.full((2, 2), 0.5)),
    ],
)
def test_spoilt_evidence_is_refused(broken: Evidence) -> None:
    with pytest.raises(UsageError):
        FEW.evaluate(broken)


def test_figures_say_in_words_what_they_show() -> None:
    figures = {figure.name: figure for figure in FEW.evaluate(random(3, 300, 3)).figures}
    assert set(figures) == {"confusion-matrix", "roc", "precision-recall", "reliability"} and all(
        figure.alt for figure in figures.values()
    )
    lines = figures["roc"].series
    assert len(lines) == 4 and all(len(line.x) == len(line.y) <= 201 for line in lines)
    assert all((line.x[0], line.y[0], line.x[-1], line.y[-1]) == (0, 0, 1, 1) for line in lines)


def _fields(given: Evidence) -> dict[str, object]:
    return {name: getattr(given, name) for name in Evidence.__dataclass_fields__}


# ------------------------------------------------------------------------------------------- threshold, prevalence


def test_the_threshold_comes_from_validation_and_never_from_test() -> None:
    test, validation = random(4, 150, 2), random(5, 90, 2)
    shifted = np.clip(validation.probabilities[:, 1] * 0.4, 0, 1)  # validation is best cut far below 0.5
    validation = replace(validation, probabilities=np.stack([1 - shifted, shifted], 1), split="val")
    found = FEW.evaluate(replace(test, validation=validation))
    said = found.extra["threshold"]
    assert said["chosen_on"] == "val" and said["n"] == 90 and said["value"] < 0.4
    fpr, tpr, _ = sk.roc_curve(validation.targets, shifted)
    decided = shifted >= said["value"]
    reached = decided[validation.targets == 1].mean() - decided[validation.targets == 0].mean()
    assert reached == pytest.approx((tpr - fpr).max())
    on_test = test.probabilities[:, 1] >= said["value"]
    assert value(found, "tuned_accuracy") == pytest.approx((on_test == test.targets).mean())
    assert value(found, "tuned_sensitivity") == pytest.approx(on_test[test.targets == 1].mean())
    # Without validation there is none; the test split's own is never taken.
    assert "threshold" not in FEW.evaluate(test).extra
    one_class = replace(validation, targets=np.zeros(90, dtype=np.int64))
    assert "threshold" not in FEW.evaluate(replace(test, validation=one_class)).extra


def test_predictive_values_at_a_prevalence() -> None:
    given = of_matrix([[40, 10], [5, 45]])
    found = Classification(positive="class 1", prevalence=0.1, resamples=500).evaluate(given)
    assert value(found, "ppv_at_prevalence") == pytest.approx(0.9 * 0.1 / (0.9 * 0.1 + 0.2 * 0.9))
    assert value(found, "npv_at_prevalence") == pytest.approx(0.8 * 0.9 / (0.8 * 0.9 + 0.1 * 0.1))
    as_here = Classification(positive="class 1", prevalence=0.5, resamples=500).evaluate(given)
    assert value(as_here, "ppv_at_prevalence") == pytest.approx(value(as_here, "positive_precision"))
    perfect = Classification(positive="class 1", prevalence=0.1).evaluate(of_matrix([[50, 0], [0, 50]]))
    ppv = perfect.metrics["ppv_at_prevalence"]
    assert ppv.value == 1 and ppv.low is not None and 0.3 < ppv.low < 0.9  # 50 samples prove no perfect test
    with pytest.raises(UsageError, match="positive class"):
        Classification(prevalence=0.1).evaluate(given)


# ------------------------------------------------------------------------------------------------------- groups


def test_figures_by_group_are_those_of_the_mean_probabilities() -> None:
    rng = np.random.default_rng(6)
    of_patient = np.repeat(np.arange(40), 5)
    targets = (np.arange(40) % 2)[of_patient]
    p = np.clip(0.5 + 0.15 * (2 * targets - 1) + rng.normal(0, 0.3, 200), 0.01, 0.99)
    given = evidence(targets, np.stack([1 - p, p], 1), tuple(f"patient {k}" for k in of_patient))
    found = FEW.evaluate(given)
    mean = p.reshape(40, 5).mean(1)
    truth = targets[::5]
    assert value(found, "group_accuracy") == pytest.approx(((mean > 0.5) == truth).mean())
    assert value(found, "group_auc") == pytest.approx(sk.roc_auc_score(truth, mean))
    assert found.metrics["group_accuracy"].method == "Wilson" and found.extra["groups"] == 40
    assert np.sum(found.extra["group_confusion_matrix"]) == 40
    assert {"confusion-matrix-by-group", "roc-by-group"} <= {figure.name for figure in found.figures}
    for name in METRICS:
        if name != "top_k":
            assert f"group_{name}" in found.metrics


def test_a_group_of_several_classes_has_no_answer_of_its_own() -> None:
    given = of_matrix([[10, 2], [3, 10]])
    mixed = FEW.evaluate(replace(given, groups=("one",) * 25))
    assert not any(name.startswith("group_") for name in mixed.metrics)
    accuracy = mixed.metrics["accuracy"]
    assert accuracy.low is not None and accuracy.high is not None and accuracy.high - accuracy.low > 0.5
    some = FEW.evaluate(replace(given, groups=("both", *[""] * 23, "both")))
    assert (some.extra["groups"], some.extra["groups_of_several_classes"]) == (23, 1)


# ------------------------------------------------------------------------------------------------------ odd input


@pytest.mark.parametrize(
    "given",
    [
        evidence(np.array([0]), np.array([[0.7, 0.3]])),
        evidence(np.array([1]), np.array([[0.2, 0.5, 0.3]])),
        evidence(np.array([0, 1] * 20), np.full((40, 2), 0.5)),
        evidence(np.array([0, 1] * 20), np.tile([1.0, 0.0], (40, 1))),
        evidence(np.array([0, 1] * 20), np.eye(2)[[0, 1] * 20]),
        evidence(np.array([0, 1] * 20), np.eye(2)[[1, 0] * 20]),
        evidence(np.zeros(30), np.tile([0.8, 0.1, 0.1], (30, 1))),
    ],
    ids=["one sample", "one of three classes", "constant", "one answer", "perfect", "all wrong", "one class"],
)
def test_degenerate_evidence_gives_values_or_says_that_there_are_none(given: Evidence) -> None:
    found = Classification(resamples=200).evaluate(replace(given, validation=given))
    for name, metric in found.metrics.items():
        ends = [metric.value, metric.low, metric.high]
        assert all(end is None or np.isfinite(end) for end in ends), name
        if metric.low is not None and metric.high is not None and metric.value is not None:
            assert metric.low <= metric.value <= metric.high, name
    for figure in found.figures:
        assert figure.alt and all(np.isfinite(series.y).all() for series in figure.series)
