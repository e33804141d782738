"""The ``classification`` evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torchmetrics.functional import classification as tm

from toolbox.api.errors import UsageError, closest
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Figure, Metric, Table
from toolbox.api.statistics import METRICS, RESAMPLES, Bootstrap, PredictionSet, Units
from toolbox_classification.heavy import pictures, tables, threshold


class Classification(Evaluator):
    """Study A's figures and more, each with a 95 % interval.

    Accuracy, balanced accuracy, precision, recall, specificity and F1 (the Dice similarity coefficient), AUC, average
    precision, MCC, Cohen's kappa, top-k accuracy, log loss, Brier score, expected calibration error; ROC and
    precision-recall curves and a reliability diagram. Averages are over the classes (macro), as in study A. The AUC
    comes from probabilities, never from hard labels; with more than two classes it is the mean of one against the rest.

    Intervals: Wilson's for proportions of samples, DeLong's on the logit scale for AUCs, a BCa bootstrap for the
    others. Where samples have groups (patients), groups are the units: DeLong's variance in Obuchowski's form, a
    bootstrap of whole groups for everything else, accuracy included; and every figure again with one answer for each
    group, the mean of its samples' probabilities.

    With two classes a threshold is chosen on the validation split (Youden's index), never on the split that is
    evaluated, and its figures are given beside those of the most probable class.
    """

    def __init__(
        self,
        *,
        positive: Annotated[str, Field(description="name of the positive class of a two-class task")] = "",
        prevalence: Annotated[
            float, Field(ge=0, lt=1, description="share of positives that predictive values are given for; 0: none")
        ] = 0.0,
        resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples")] = RESAMPLES,
    ) -> None:
        self.positive = positive
        self.prevalence = prevalence
        self.resamples = resamples

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the class.

        Raises
        ------
        UsageError: no samples, probabilities that are none, a positive class that does not exist, or a prevalence
        without a positive class.
        """
        check(evidence)
        positive = self._positive_index(evidence)
        predictions = sort_by_id(evidence)
        whole = self._part(predictions, evidence, positive)
        metrics, extra = dict(whole.metrics), {"confusion_matrix": whole.matrix.tolist()}
        tables_, figures = list(whole.tables), list(whole.figures)
        if len(evidence.classes) == 2:
            at_threshold = self._metrics_at_threshold(predictions, evidence, 1 if positive is None else positive)
            if at_threshold is not None:
                metrics |= at_threshold[0]
                extra["threshold"] = at_threshold[1]
        groups = average_by_group(evidence) if predictions.units.grouped else None
        if groups is not None:
            group_predictions, several_classes = groups
            part = self._part(group_predictions, evidence, positive, "group")
            metrics |= {
                f"group_{key}": replace(metric, label=f"{metric.label}, by group")
                for key, metric in part.metrics.items()
            }
            extra |= {"group_confusion_matrix": part.matrix.tolist(), "groups": len(group_predictions.targets)}
            extra["groups_of_several_classes"] = several_classes
            tables_ += [replace(t, name=f"{t.name}-by-group", title=f"{t.title}, by group") for t in part.tables]
            figures += [replace(f, name=f"{f.name}-by-group", title=f"{f.title}, by group") for f in part.figures]
        return Evaluation(metrics=metrics, tables=tables_, figures=figures, extra=extra)

    def _part(self, predictions: PredictionSet, evidence: Evidence, positive: int | None, what: str = "") -> _Part:
        """Compute everything that is reported both by sample and by group."""
        classes = evidence.classes
        bootstrap = Bootstrap(predictions, (evidence.seed, what), self.resamples)
        metrics = {name: bootstrap.metric(name) for name in METRICS if name != "top_k" or predictions.top_k}
        if predictions.top_k:
            metrics["top_k"] = replace(metrics["top_k"], label=f"top-{predictions.top_k} accuracy")
        if positive is not None:
            name = classes[positive]
            label = f"average precision ({name})"
            metrics["average_precision"] = bootstrap.class_average_precision(positive, label)
            metrics |= threshold.positive_class_metrics(bootstrap, positive, name)
            if self.prevalence:
                metrics |= threshold.predictive_values(bootstrap, positive, name, self.prevalence)
        matrix = confusion_matrix(predictions)
        return _Part(
            metrics,
            matrix,
            [tables.per_class(matrix, predictions, classes), tables.per_class_intervals(bootstrap, classes)],
            [
                pictures.confusion_figure(matrix, classes),
                *pictures.roc_figure(predictions.targets, predictions.probabilities, classes, positive),
                *pictures.precision_recall_figure(predictions.targets, predictions.probabilities, classes, positive),
                pictures.reliability_figure(predictions, metrics["ece"]),
            ],
        )

    def _positive_index(self, evidence: Evidence) -> int | None:
        if not self.positive:
            if self.prevalence:
                raise UsageError(
                    "predictive values at a prevalence need a positive class",
                    f"classification:positive={evidence.classes[-1]},prevalence={self.prevalence:g}",
                )
            return None
        if self.positive not in evidence.classes:
            raise UsageError(f"no class named {self.positive!r}", closest(self.positive, evidence.classes))
        if len(evidence.classes) != 2:
            raise UsageError("a positive class needs a task with two classes", "Remove 'positive'.")
        return list(evidence.classes).index(self.positive)

    def _metrics_at_threshold(
        self, predictions: PredictionSet, evidence: Evidence, positive: int
    ) -> tuple[dict[str, Metric], dict[str, object]] | None:
        """Choose the threshold on the validation split; return the metrics at it, and a record of the choice."""
        validation = evidence.validation
        if validation is None:
            return None
        check(validation)
        best = threshold.choose_threshold(validation.targets == positive, validation.probabilities[:, positive])
        if best is None:
            return None
        decisions = threshold.apply_threshold(predictions, positive, best)
        bootstrap = Bootstrap(decisions, (evidence.seed, "threshold"), self.resamples)
        name = evidence.classes[positive]
        extra = {"value": best, "class": name, "chosen_on": validation.split, "n": len(validation.ids), "by": "Youden"}
        return threshold.threshold_metrics(bootstrap, positive, name), extra


@dataclass(frozen=True)
class _Part:
    metrics: dict[str, Metric]
    matrix: npt.NDArray[np.int64]
    tables: Sequence[Table]
    figures: Sequence[Figure]


def check(evidence: Evidence) -> None:
    """Refuse evidence that can't be evaluated (see :meth:`Classification.evaluate`)."""
    probabilities, targets, classes = evidence.probabilities, evidence.targets, len(evidence.classes)
    if len(targets) == 0:
        raise UsageError("there are no predictions to evaluate")
    if probabilities.shape != (len(targets), classes) or len(evidence.ids) != len(targets):
        raise UsageError(
            f"{len(evidence.ids)} ids, {len(targets)} targets and probabilities of shape {probabilities.shape}"
            f" for {classes} classes do not match"
        )
    if not np.isfinite(probabilities).all() or (probabilities < 0).any():
        raise UsageError("probabilities must be finite and not negative")
    if not np.allclose(probabilities.sum(1), 1, atol=1e-3):
        raise UsageError("the probabilities of each sample must sum to 1")
    if targets.min() < 0 or targets.max() >= classes:
        raise UsageError(f"targets must lie between 0 and {classes - 1}")


def sort_by_id(evidence: Evidence) -> PredictionSet:
    """Sort the predictions by sample id, so that results do not depend on the order of the evidence."""
    order = sorted(range(len(evidence.ids)), key=lambda index: evidence.ids[index])
    groups = [evidence.groups[index] for index in order] if evidence.groups else []
    units = Units.from_groups(groups, len(order))
    return PredictionSet(evidence.targets[order], evidence.probabilities[order], units)


def average_by_group(evidence: Evidence) -> tuple[PredictionSet, int] | None:
    """Average the probabilities within each group, and count the groups with several classes, which are left out.

    ``None`` if every group has several classes.
    """
    predictions = sort_by_id(evidence)
    index, count = predictions.units.index, predictions.units.count
    sizes = np.bincount(index, minlength=count)
    means = np.zeros((count, predictions.classes))
    np.add.at(means, index, predictions.probabilities)
    lowest, highest = np.full(count, predictions.classes), np.full(count, -1)
    np.minimum.at(lowest, index, predictions.targets)
    np.maximum.at(highest, index, predictions.targets)
    one_class = lowest == highest
    if not one_class.any():
        return None
    grouped = PredictionSet(
        lowest[one_class], (means / sizes[:, None])[one_class], Units.from_groups([], int(one_class.sum()))
    )
    return grouped, int((~one_class).sum())


def confusion_matrix(predictions: PredictionSet) -> npt.NDArray[np.int64]:
    """Counts by torchmetrics, int64 ``[classes, classes]``: rows true, columns predicted."""
    predicted, targets = torch.from_numpy(predictions.predicted), torch.from_numpy(predictions.targets)
    matrix: npt.NDArray[np.int64] = tm.multiclass_confusion_matrix(predicted, targets, predictions.classes).numpy()
    return matrix
