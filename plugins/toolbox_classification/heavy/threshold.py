"""Two classes with a named positive one: threshold, predictive values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from toolbox.api.evaluator import Metric
from toolbox.api.statistics import Bootstrap, MetricInfo, PredictionSet

Floats = npt.NDArray[np.float64]


def choose_threshold(positive: npt.NDArray[np.bool_], scores: Floats) -> float | None:
    """The threshold with the largest sensitivity + specificity, of several the nearest to 0.5; from it on is positive.

    ``None`` where a class is missing. Thresholds lie half-way between neighbouring scores. Source: Youden, Cancer 3
    (1950).
    """
    if positive.all() or not positive.any():
        return None
    levels = np.unique(scores)
    candidates = np.unique(np.concatenate([[0.0, 0.5], (levels[1:] + levels[:-1]) / 2, [1.0]]))
    hits, rest = np.sort(scores[positive]), np.sort(scores[~positive])
    sensitivity = 1 - np.searchsorted(hits, candidates, side="left") / len(hits)
    specificity = np.searchsorted(rest, candidates, side="left") / len(rest)
    total = sensitivity + specificity
    best = candidates[total >= total.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def apply_threshold(predictions: PredictionSet, positive: int, threshold: float) -> PredictionSet:
    """Replace probabilities by 0 and 1, decided by ``threshold`` on the positive class."""
    positive_mask = predictions.probabilities[:, positive] >= threshold
    labels = np.where(positive_mask, positive, 1 - positive)
    return PredictionSet(predictions.targets, np.eye(2)[labels], predictions.units)


def threshold_metrics(bootstrap: Bootstrap, positive: int, name: str) -> dict[str, Metric]:
    """Metrics of decisions made by :func:`apply_threshold`."""
    metrics = {
        "tuned_accuracy": (bootstrap.metric("accuracy"), "accuracy"),
        "tuned_balanced_accuracy": (bootstrap.metric("balanced_accuracy"), "balanced accuracy"),
        "tuned_sensitivity": (bootstrap.class_metric("recall", positive, ""), f"sensitivity ({name})"),
        "tuned_specificity": (bootstrap.class_metric("specificity", positive, ""), f"specificity ({name})"),
    }
    return {
        key: replace(metric, label=f"{label} at validation's threshold") for key, (metric, label) in metrics.items()
    }


def positive_class_metrics(bootstrap: Bootstrap, positive: int, name: str) -> dict[str, Metric]:
    """Predictive values, sensitivity and specificity of the positive class, as it occurs in these samples."""
    other = 1 - positive
    return {
        "positive_precision": bootstrap.class_metric("precision", positive, f"precision of {name}"),
        "sensitivity": bootstrap.class_metric("recall", positive, f"sensitivity ({name})"),
        "positive_specificity": bootstrap.class_metric("specificity", positive, f"specificity ({name})"),
        "negative_predictive_value": bootstrap.class_metric("precision", other, f"negative predictive value ({name})"),
    }


def predictive_values(bootstrap: Bootstrap, positive: int, name: str, prevalence: float) -> dict[str, Metric]:
    """Predictive values where a share ``prevalence`` of all is positive, by Bayes' rule from both rates."""

    def both_values(sensitivity: Floats, specificity: Floats) -> tuple[Floats, Floats]:
        sick, well = sensitivity * prevalence, specificity * (1 - prevalence)
        with np.errstate(divide="ignore", invalid="ignore"):
            return sick / (sick + (1 - specificity) * (1 - prevalence)), well / (well + (1 - sensitivity) * prevalence)

    none = np.empty((0, bootstrap.predictions.classes))
    pairs = [
        both_values(
            *((each[name] if len(each[name]) else none)[:, positive] for name in ("class_recall", "class_specificity"))
        )
        for each in bootstrap.additive
    ]
    metrics = {}
    for at, (key, word) in enumerate((("ppv", "positive"), ("npv", "negative"))):
        label = f"{word} predictive value ({name}) at a prevalence of {prevalence:g}"
        metrics[f"{key}_at_prevalence"] = bootstrap.bootstrap_metric([pair[at] for pair in pairs], MetricInfo(label))
    return metrics
