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
from toolbox.api.statistics import METRICS, RESAMPLES, Answers, Resampled, Units
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
        named = self._positive_index(evidence)
        answers = in_order(evidence).answers
        whole = self._part(answers, evidence, named)
        metrics, extra = dict(whole.metrics), {"confusion_matrix": whole.matrix.tolist()}
        found_tables, figures = list(whole.tables), list(whole.figures)
        if len(evidence.classes) == 2:
            tuned = self._tuned(answers, evidence, 1 if named is None else named)
            if tuned is not None:
                metrics |= tuned[0]
                extra["threshold"] = tuned[1]
        groups = by_group(evidence) if answers.units.grouped else None
        if groups is not None:
            part = self._part(groups.answers, evidence, named, "group")
            metrics |= {
                f"group_{key}": replace(metric, label=f"{metric.label}, by group")
                for key, metric in part.metrics.items()
            }
            extra |= {"group_confusion_matrix": part.matrix.tolist(), "groups": len(groups.answers.targets)}
            extra["groups_of_several_classes"] = groups.left_out
            found_tables += [replace(t, name=f"{t.name}-by-group", title=f"{t.title}, by group") for t in part.tables]
            figures += [replace(f, name=f"{f.name}-by-group", title=f"{f.title}, by group") for f in part.figures]
        return Evaluation(metrics=metrics, tables=found_tables, figures=figures, extra=extra)

    def _part(self, answers: Answers, evidence: Evidence, named: int | None, what: str = "") -> _Part:
        """Everything that samples and groups have in common."""
        classes = evidence.classes
        found = Resampled(answers, (evidence.seed, what), self.resamples)
        metrics = {name: found.metric(name) for name in METRICS if name != "top_k" or answers.top_k}
        if answers.top_k:
            metrics["top_k"] = replace(metrics["top_k"], label=f"top-{answers.top_k} accuracy")
        if named is not None:
            name = classes[named]
            label = f"average precision ({name})"
            metrics["average_precision"] = found.average_precision_of(named, label)
            metrics |= threshold.of_positive(found, named, name)
            if self.prevalence:
                metrics |= threshold.at_prevalence(found, named, name, self.prevalence)
        matrix = confusion_matrix(answers)
        return _Part(
            metrics,
            matrix,
            [tables.per_class(matrix, answers, classes), tables.per_class_intervals(found, classes)],
            [
                pictures.confusion_figure(matrix, classes),
                *pictures.roc_figure(answers.targets, answers.probabilities, classes, named),
                *pictures.precision_recall_figure(answers.targets, answers.probabilities, classes, named),
                pictures.reliability_figure(answers, metrics["ece"]),
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
            raise UsageError(
                f"there is no class {self.positive!r} to be the positive one", closest(self.positive, evidence.classes)
            )
        if len(evidence.classes) != 2:
            raise UsageError("a positive class can be named for two classes only", "Leave 'positive' out.")
        return list(evidence.classes).index(self.positive)

    def _tuned(
        self, answers: Answers, evidence: Evidence, positive: int
    ) -> tuple[dict[str, Metric], dict[str, object]] | None:
        """Figures at the threshold that suits the validation split best, and what it is; ``None`` without one."""
        chosen_on = evidence.validation
        if chosen_on is None:
            return None
        check(chosen_on)
        best = threshold.youden(chosen_on.targets == positive, chosen_on.probabilities[:, positive])
        if best is None:
            return None
        tuned = Resampled(threshold.decided(answers, positive, best), (evidence.seed, "threshold"), self.resamples)
        name = evidence.classes[positive]
        said = {"value": best, "class": name, "chosen_on": chosen_on.split, "n": len(chosen_on.ids), "by": "Youden"}
        return threshold.at_threshold(tuned, positive, name), said


@dataclass(frozen=True)
class _Part:
    metrics: dict[str, Metric]
    matrix: npt.NDArray[np.int64]
    tables: Sequence[Table]
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Sorted:
    """The evidence in an order of its own, so that nothing depends on the order it came in.

    ``left_out``: groups that can't have one answer.
    """

    answers: Answers
    left_out: int = 0


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
    groups = [evidence.groups[index] for index in order] if evidence.groups else []
    units = Units.from_groups(groups, len(order))
    return Sorted(Answers(evidence.targets[order], evidence.probabilities[order], units))


def by_group(evidence: Evidence) -> Sorted | None:
    """One answer for each group, the mean of its samples' probabilities; ``None`` where no group has one class."""
    answers = in_order(evidence).answers
    of, count = answers.units.of, answers.units.count
    sizes = np.bincount(of, minlength=count)
    means = np.zeros((count, answers.classes))
    np.add.at(means, of, answers.probabilities)
    lowest, highest = np.full(count, answers.classes), np.full(count, -1)
    np.minimum.at(lowest, of, answers.targets)
    np.maximum.at(highest, of, answers.targets)
    one_class = lowest == highest
    if not one_class.any():
        return None
    kept = Answers(lowest[one_class], (means / sizes[:, None])[one_class], Units.from_groups([], int(one_class.sum())))
    return Sorted(kept, int((~one_class).sum()))


def confusion_matrix(answers: Answers) -> npt.NDArray[np.int64]:
    """Counts by torchmetrics, int64 ``[classes, classes]``: rows true, columns predicted."""
    predicted, targets = torch.from_numpy(answers.predicted), torch.from_numpy(answers.targets)
    matrix: npt.NDArray[np.int64] = tm.multiclass_confusion_matrix(predicted, targets, answers.classes).numpy()
    return matrix
