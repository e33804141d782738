"""The ``classification`` evaluator: torchmetrics for the values, scipy and a bootstrap for their intervals."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy.stats import binomtest
from torchmetrics.functional import classification as tm

from toolbox.errors import UsageError, closest
from toolbox.plugin.protocols import Evaluation, Evaluator, Evidence, Metric
from toolbox_classification.heavy import resample
from toolbox_classification.heavy.pictures import confusion_figure, roc_figure
from toolbox_classification.heavy.tables import per_class_table

LABELS = {
    "accuracy": "accuracy",
    "precision": "precision (macro)",
    "recall": "recall (macro)",
    "specificity": "specificity (macro)",
    "f1": "F1 = DSC (macro)",
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
}


@dataclass(frozen=True)
class Sorted:
    """The evidence in the order of its ids, so that nothing depends on the order it came in."""

    targets: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    groups: tuple[str, ...]

    @property
    def grouped(self) -> bool:
        """Whether any sample belongs to a group."""
        return any(self.groups)


class Classification(Evaluator):
    """Accuracy, precision, recall, specificity, F1 (the Dice similarity coefficient), ROC and AUC.

    Averages are over the classes (macro), as in study A; the per-class figures stand in a table, and the positive
    class of a two-class task can be named. The AUC comes from probabilities, never from hard labels; with more than
    two classes it is the mean of one class against the rest.

    Every value has a 95 % interval: Wilson's for accuracy, a percentile bootstrap for the others; where samples have
    groups (patients), whole groups are resampled, for accuracy too. A bootstrap of figures at 0 or 1 would give an
    interval without width; there Wilson's interval on the number of samples (or groups) stands instead.

    Values: torchmetrics. Intervals: Wilson, JASA 22 (1927); Efron and Tibshirani, An Introduction to the Bootstrap.
    """

    def __init__(
        self,
        *,
        positive: Annotated[str, Field(description="name of the positive class of a two-class task")] = "",
        resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples")] = 2000,
    ) -> None:
        self.positive = positive
        self.resamples = resamples

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the class.

        Raises
        ------
        UsageError: no samples, probabilities that are none, or a positive class that does not exist.
        """
        check(evidence)
        positive = self._positive_index(evidence)
        found = in_order(evidence)
        matrix = confusion_matrix(found, len(evidence.classes))
        values = point_values(matrix, found)
        metrics = self._with_intervals(values, found, evidence)
        if positive is not None:
            metrics |= _of_positive(matrix, positive, evidence.classes[positive])
        return Evaluation(
            metrics=metrics,
            tables=[per_class_table(matrix, found.targets, found.probabilities, evidence.classes)],
            figures=[
                confusion_figure(matrix, evidence.classes),
                *roc_figure(found.targets, found.probabilities, evidence.classes, positive),
            ],
            extra={"confusion_matrix": matrix.tolist()},
        )

    def _positive_index(self, evidence: Evidence) -> int | None:
        if not self.positive:
            return None
        if self.positive not in evidence.classes:
            raise UsageError(
                f"there is no class {self.positive!r} to be the positive one", closest(self.positive, evidence.classes)
            )
        if len(evidence.classes) != 2:
            raise UsageError("a positive class can be named for two classes only", "Leave 'positive' out.")
        return list(evidence.classes).index(self.positive)

    def _with_intervals(self, values: dict[str, float], found: Sorted, evidence: Evidence) -> dict[str, Metric]:
        key = hashlib.sha256(f"classification/{evidence.seed}".encode()).digest()[:16]
        rng = np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype=np.uint64)))
        drawn = resample.weights(found.groups, len(found.targets), self.resamples, rng)
        classes = len(evidence.classes)
        samples = resample.macro(resample.confusions(found.targets, found.predicted, classes, drawn))
        samples["auc"] = _resampled_auc(found, classes, drawn)
        units = len({group for group in found.groups if group}) + sum(not group for group in found.groups)
        metrics = {}
        for name, value in values.items():
            if not math.isfinite(value):
                metrics[name] = Metric(None, label=LABELS[name])
            elif name == "accuracy" and not found.grouped:
                correct = int((found.targets == found.predicted).sum())
                metrics[name] = wilson(correct, len(found.targets))
            else:
                metrics[name] = _bootstrapped(value, samples[name], units, found.grouped)
            metrics[name] = replace(metrics[name], label=LABELS[name])
        return metrics


def check(evidence: Evidence) -> None:
    """Refuse evidence that can't be evaluated (see :meth:`Classification.evaluate`)."""
    probabilities, targets, classes = evidence.probabilities, evidence.targets, len(evidence.classes)
    if len(targets) == 0:
        raise UsageError("there are no predictions to evaluate")
    if probabilities.shape != (len(targets), classes) or len(evidence.ids) != len(targets):
        raise UsageError(
            f"{len(evidence.ids)} ids, {len(targets)} targets and probabilities of shape {probabilities.shape}"
            f" for {classes} classes don't fit together"
        )
    if not np.isfinite(probabilities).all() or (probabilities < 0).any():
        raise UsageError("the probabilities hold values that are negative or no numbers")
    if not np.allclose(probabilities.sum(1), 1, atol=1e-3):
        raise UsageError("the probabilities of a sample don't add up to 1")
    if targets.min() < 0 or targets.max() >= classes:
        raise UsageError(f"a target is none of the {classes} classes")


def in_order(evidence: Evidence) -> Sorted:
    """``evidence`` by id."""
    order = sorted(range(len(evidence.ids)), key=lambda index: evidence.ids[index])
    probabilities = evidence.probabilities[order]
    groups = tuple(evidence.groups[index] for index in order) if evidence.groups else ("",) * len(order)
    return Sorted(evidence.targets[order], probabilities.argmax(1), probabilities, groups)


def confusion_matrix(found: Sorted, classes: int) -> npt.NDArray[np.int64]:
    """Counts, int64 ``[classes, classes]``: rows true, columns predicted."""
    predicted, targets = torch.from_numpy(found.predicted), torch.from_numpy(found.targets)
    matrix: npt.NDArray[np.int64] = tm.multiclass_confusion_matrix(predicted, targets, classes).numpy()
    return matrix


def point_values(matrix: npt.NDArray[np.int64], found: Sorted) -> dict[str, float]:
    """The headline metrics; NaN where one is not defined. In float64, from torchmetrics' exact counts."""
    classes = len(matrix)
    present = len(set(found.targets.tolist()))
    values = {name: float(value) for name, value in resample.macro(matrix.astype(np.float64)).items()}
    return {**values, "auc": _auc(found, classes) if present == classes else math.nan}


def wilson(hits: int, count: int, method: str = "Wilson") -> Metric:
    """The proportion ``hits / count`` with Wilson's score interval."""
    interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    return Metric(hits / count, float(interval.low), float(interval.high), method)


def _auc(found: Sorted, classes: int) -> float:
    # In float64: float32 would make ties of probabilities near 1.
    scores, targets = torch.from_numpy(found.probabilities), torch.from_numpy(found.targets)
    if classes == 2:
        return float(tm.binary_auroc(scores[:, 1], targets).item())
    return float(tm.multiclass_auroc(scores, targets, classes, average="macro").item())


def _resampled_auc(found: Sorted, classes: int, drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    columns = [1] if classes == 2 else range(classes)
    each = [resample.aucs(found.targets == column, found.probabilities[:, column], drawn) for column in columns]
    mean: npt.NDArray[np.float64] = np.mean(each, axis=0)
    return mean


def _bootstrapped(value: float, samples: npt.NDArray[np.float64], units: int, grouped: bool) -> Metric:
    """A percentile interval, or Wilson's where the figure is the same in every resample (at 0 or 1, say)."""
    usable = samples[np.isfinite(samples)]
    if value in (0.0, 1.0) or (len(usable) and np.ptp(usable) < 1e-9):
        bound = wilson(round(value * units), units, f"Wilson on {units} {'groups' if grouped else 'samples'}")
        return replace(bound, value=value)
    if len(usable) < len(samples) / 2:
        return Metric(value, method="too few resamples hold every class")
    low, high = np.percentile(usable, [2.5, 97.5])
    what = "groups" if grouped else "samples"
    return Metric(value, min(float(low), value), max(float(high), value), f"bootstrap of {what}")


def _of_positive(matrix: npt.NDArray[np.int64], positive: int, name: str) -> dict[str, Metric]:
    """Precision, sensitivity and specificity of the positive class of two, each a proportion."""
    hits = int(matrix[positive, positive])
    other = 1 - positive
    found = {
        "positive_precision": (hits, int(matrix[:, positive].sum()), f"precision of {name}"),
        "sensitivity": (hits, int(matrix[positive].sum()), f"sensitivity ({name})"),
        "positive_specificity": (int(matrix[other, other]), int(matrix[other].sum()), f"specificity ({name})"),
    }
    return {
        key: replace(wilson(part, whole), label=label) if whole else Metric(None, label=label)
        for key, (part, whole, label) in found.items()
    }
