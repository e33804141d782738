"""The ``subgroups`` evaluator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from toolbox.api.errors import UsageError, closest
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Figure, Metric, Series, Table
from toolbox.api.statistics import RESAMPLES, Bootstrap, PredictionSet, Units, holm
from toolbox_subgroups.heavy.against import Difference, compare_with_rest
from toolbox_subgroups.heavy.values import subgroups

Cell = str | float | int | None
_MANY_CLASSES = 5


class Subgroups(Evaluator):
    """Is the model as good for every scanner, sex, age? The figures by the values of a manifest column.

    Accuracy, balanced accuracy, AUC, and the recall of each class (its sensitivity), each with a 95 % interval; groups
    (patients) are the units where there are groups. Each subgroup of ``small`` images or more is compared with all
    others, p-values after Holm. Small subgroups are shown and said to be small: their intervals are what is known.

    No difference found is not the same as no difference: look at the interval. Numbers of many values (an age) are cut
    into parts of equal size.
    """

    def __init__(
        self,
        *,
        column: Annotated[str, Field(min_length=1, description="the manifest's column, such as scanner")],
        positive: Annotated[str, Field(description="name of the positive class of a two-class task")] = "",
        small: Annotated[int, Field(ge=1, description="fewer images than this are a small subgroup")] = 30,
        cuts: Annotated[int, Field(ge=2, le=12, description="parts that a column of numbers is cut into")] = 4,
        resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples")] = RESAMPLES,
    ) -> None:
        self.column = column
        self.positive = positive
        self.small = small
        self.cuts = cuts
        self.resamples = resamples

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the class.

        Raises
        ------
        UsageError: no samples, no such column or positive class, or a column that makes no subgroups.
        """
        if not len(evidence.ids):
            raise UsageError("there are no predictions to evaluate")
        if self.positive and (self.positive not in evidence.classes or len(evidence.classes) != 2):
            raise UsageError(
                f"{self.positive!r} can't be the positive class of {', '.join(evidence.classes)}",
                closest(self.positive, evidence.classes),
            )
        order = sorted(range(len(evidence.ids)), key=lambda at: evidence.ids[at])
        columns = {name: [values[at] for at in order] for name, values in evidence.columns.items()}
        values = np.array(subgroups(columns, self.column, self.cuts))
        groups = np.array([evidence.groups[at] if evidence.groups else "" for at in order])
        targets, probabilities = evidence.targets[order], evidence.probabilities[order]
        members = {str(name): values == name for name in np.unique(values)}
        metrics = {
            name: self._metrics(PredictionSet(targets[mask], probabilities[mask], _units(groups[mask])), evidence, name)
            for name, mask in members.items()
        }
        whole = PredictionSet(targets, probabilities, _units(groups))
        differences = self._compare(members, whole, evidence.seed)
        sizes = {name: int(mask.sum()) for name, mask in members.items()}
        return Evaluation(
            metrics=self._worst(metrics, sizes),
            tables=[
                self._sizes(members, targets, groups, evidence.classes),
                self._figures(metrics),
                *([self._comparison(differences, sizes)] if differences else []),
            ],
            figures=[self._bars(metrics, sizes)],
            notes=self._notes(sizes, differences),
        )

    def _metrics(self, predictions: PredictionSet, evidence: Evidence, name: str) -> dict[str, Metric]:
        bootstrap = Bootstrap(predictions, ("subgroups", evidence.seed, self.column, name), self.resamples)
        present = np.unique(predictions.targets)
        metrics = {"accuracy": bootstrap.metric("accuracy")}
        if len(present) == predictions.classes:
            metrics["balanced accuracy"] = bootstrap.metric("balanced_accuracy")
        metrics["AUC"] = bootstrap.metric("auc")
        classes = evidence.classes
        if self.positive:
            at = list(classes).index(self.positive)
            metrics[f"sensitivity ({self.positive})"] = bootstrap.class_metric("recall", at, "")
            metrics[f"specificity ({self.positive})"] = bootstrap.class_metric("specificity", at, "")
        elif len(classes) <= _MANY_CLASSES:
            metrics |= {
                f"recall of {label}": bootstrap.class_metric("recall", at, "") for at, label in enumerate(classes)
            }
        return metrics

    def _worst(
        self, metrics_by_group: Mapping[str, Mapping[str, Metric]], sizes: Mapping[str, int]
    ) -> dict[str, Metric]:
        """The lowest accuracy of a subgroup that is not small, with that subgroup's interval."""
        large = {name: metrics["accuracy"] for name, metrics in metrics_by_group.items() if sizes[name] >= self.small}
        if not large:
            return {}
        name, worst = min(large.items(), key=lambda item: (item[1].value or 0, item[0]))
        label = f"lowest accuracy by {self.column} ({name})"
        return {f"worst_accuracy_by_{self.column}": replace(worst, label=label)}

    def _compare(
        self, members: Mapping[str, npt.NDArray[np.bool_]], whole: PredictionSet, seed: int
    ) -> dict[str, Difference]:
        """Those large enough to be compared; of two subgroups the first, since the other says the same."""
        large = [name for name, mask in members.items() if min(int(mask.sum()), int((~mask).sum())) >= self.small]
        return {
            name: compare_with_rest(
                members[name], whole.correct, whole.units, self.resamples, (seed, self.column, name)
            )
            for name in (large[:1] if len(members) == 2 else large)
        }

    def _sizes(
        self,
        members: Mapping[str, npt.NDArray[np.bool_]],
        targets: npt.NDArray[np.int64],
        groups: npt.NDArray[np.str_],
        classes: Sequence[str],
    ) -> Table:
        rows: list[list[Cell]] = []
        for name, mask in members.items():
            count, by_class = int(mask.sum()), np.bincount(targets[mask], minlength=len(classes))
            remark = f"small: fewer than {self.small}" if count < self.small else ""
            rows.append([name, count, _units(groups[mask]).count, *map(int, by_class), remark])
        columns = [self.column, "images", "groups", *(f"of {label}" for label in classes), "remark"]
        if not any(groups):
            columns, rows = [*columns[:2], *columns[3:]], [[*row[:2], *row[3:]] for row in rows]
        return Table(self._name("sizes"), f"Subgroups by {self.column}", columns, rows)

    def _figures(self, metrics_by_group: Mapping[str, Mapping[str, Metric]]) -> Table:
        rows: list[list[Cell]] = [
            [name, label, metric.value, metric.low, metric.high, metric.method]
            for name, metrics in metrics_by_group.items()
            for label, metric in metrics.items()
        ]
        columns = [self.column, "metric", "value", "low", "high", "interval by"]
        return Table(self._name("metrics"), f"Metrics by {self.column}, with 95 % intervals", columns, rows, brief=True)

    def _comparison(self, differences: Mapping[str, Difference], sizes: Mapping[str, int]) -> Table:
        total = sum(sizes.values())
        adjusted = _adjusted(differences)
        rows: list[list[Cell]] = []
        for name, difference in differences.items():
            figures = [difference.value, difference.low, difference.high, difference.p_value, adjusted[name]]
            cells: list[Cell] = [value if math.isfinite(value) else None for value in figures]
            rows.append([name, sizes[name], total - sizes[name], *cells, difference.test])
        columns = [self.column, "images", "others", "difference", "low", "high", "p", "p (Holm)", "by"]
        return Table(self._name("rest"), f"Accuracy by {self.column} against all others", columns, rows, brief=True)

    def _bars(self, metrics_by_group: Mapping[str, Mapping[str, Metric]], sizes: Mapping[str, int]) -> Figure:
        names = [f"{name} ({sizes[name]:,})" for name in metrics_by_group]
        bars = [
            label for label in ("accuracy", "AUC") if any(metrics[label].value for metrics in metrics_by_group.values())
        ]
        accuracies = ", ".join(
            f"{name} {metrics['accuracy'].value or 0:.2f}" for name, metrics in metrics_by_group.items()
        )
        return Figure(
            name=self._name("accuracy"),
            title=f"Accuracy by {self.column}",
            kind="bars",
            alt=f"Bars of {' and '.join(bars)} by {self.column}; accuracy: {accuracies}.",
            x_label=f"{self.column} (images)",
            y_label="share",
            series=[
                Series(label, names, [metrics_by_group[name][label].value for name in metrics_by_group])
                for label in bars
            ],
        )

    def _notes(self, sizes: Mapping[str, int], differences: Mapping[str, Difference]) -> list[str]:
        notes = []
        if len(sizes) == 1:
            notes.append(f"subgroups by {self.column}: it is {next(iter(sizes))} for every image, nothing to compare")
        few = [f"{name} ({count:,})" for name, count in sizes.items() if count < self.small]
        if few:
            notes.append(
                f"subgroups by {self.column}: fewer than {self.small} images of {', '.join(few)}; their figures say"
                " little, look at the intervals"
            )
        adjusted = _adjusted(differences)
        for name, difference in differences.items():
            if adjusted[name] < 0.05 and not difference.low <= 0 <= difference.high:
                word = "lower" if difference.value < 0 else "higher"
                notes.append(
                    f"subgroups by {self.column}: accuracy is {word} for {name} than for the others"
                    f" ({100 * difference.value:+.1f} points,"
                    f" 95 % CI {100 * difference.low:+.1f} to {100 * difference.high:+.1f},"
                    f" p = {adjusted[name]:.2g} after Holm)"
                )
        return notes

    def _name(self, what: str) -> str:
        return f"subgroups-{self.column}-{what}"


def _units(groups: npt.NDArray[np.str_]) -> Units:
    return Units.from_groups(groups.tolist(), len(groups))


def _adjusted(differences: Mapping[str, Difference]) -> dict[str, float]:
    """p-values after Holm; NaN where there is none."""
    known = [name for name, difference in differences.items() if math.isfinite(difference.p_value)]
    adjusted = dict.fromkeys(differences, math.nan)
    adjusted.update(zip(known, holm([differences[name].p_value for name in known]), strict=True))
    return adjusted
