"""What there is to draw of a run: its evaluators' figures, learning curves, class counts, metrics with intervals."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from toolbox.api.evaluator import Figure, Metric, Series
from toolbox.data.manifest import Row
from toolbox.report.inputs import Epoch, RunView
from toolbox.report.wording import counted, metric_of, number, shorten, with_interval
from toolbox.runs.evaluation import EvaluationRecord

MAX_BARS = 40
"""Categories that a bar chart shows; a table has the rest."""

MAX_LABELLED = 30
"""Classes up to which a matrix has a label and a number in each cell; beyond it is an image."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at ``x`` with a word on either side: where one stage of training ends and the next begins."""

    x: float
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """A named metric. ``doubtful``: leaky, or not held out."""

    name: str
    metric: Metric
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure to draw, with ``marks``. ``bounded``: ``y`` lies in [0, 1], and the axis never leaves that.

    With ``rows`` the plot shows their values and intervals on one axis, and ``figure`` only names it.
    """

    figure: Figure
    marks: Sequence[Mark] = ()
    bounded: bool = False
    rows: Sequence[IntervalRow] = ()

    @property
    def note(self) -> str:
        """What a caption adds to the title."""
        if self.rows:
            hollow = " Hollow: leaky, or not held out." if any(row.doubtful for row in self.rows) else ""
            return f"Dot: value; bar: interval.{hollow}"
        if hidden := hidden_categories(self.figure):
            return f"{hidden} more are left out here; the table has them all."
        if self.figure.kind == "matrix" and is_counts(self.figure):
            return (
                "Counts, and below each its share of the row."
                if has_shares(self.figure)
                else "Shade: share of the row."
            )
        return f"The vertical line is where the stage “{self.marks[0].before}” ends." if self.marks else ""


def finite(value: float | None) -> float | None:
    """``value``, or ``None`` where it is NaN or infinite (a loss that diverged)."""
    return value if value is not None and math.isfinite(value) else None


def learning_curves(history: Sequence[Epoch]) -> list[Plot]:
    """Loss and accuracy by epoch, training and validation, all stages on one axis.

    Epochs are counted through in the order of ``history``, however they are numbered within their stage. A curve
    without a single value is left out, a plot without a curve too.
    """
    marks = [
        Mark(index + 0.5, stage_name(before.stage), stage_name(after.stage))
        for index, (before, after) in enumerate(pairwise(history), start=1)
        if before.stage != after.stage
    ]
    plots = [
        _curve("loss", history, lambda e: e.train_loss, lambda e: e.val_loss),
        _curve("accuracy", history, lambda e: e.train_accuracy, lambda e: e.val_accuracy),
    ]
    return [Plot(figure, marks, bounded=figure.y_label == "accuracy") for figure in plots if figure.series]


def stage_name(stage: str) -> str:
    """A training stage as people read it."""
    return {"last": "last block"}.get(stage, stage.replace("_", " "))


Pick = Callable[[Epoch], float | None]


def _curve(what: str, history: Sequence[Epoch], train: Pick, val: Pick) -> Figure:
    epochs = range(1, len(history) + 1)
    curves = {"training": [finite(train(e)) for e in history], "validation": [finite(val(e)) for e in history]}
    series = [
        Series(name, list(epochs), values)
        for name, values in curves.items()
        if any(value is not None for value in values)
    ]
    return Figure(
        name=f"learning-curve-{what}",
        title=f"{what.capitalize()} by epoch",
        kind="lines",
        alt=f"{what.capitalize()} over {counted(len(history), 'epoch')}. {' '.join(map(_course, series))}",
        x_label="epoch",
        y_label=what,
        series=series,
    )


def _course(series: Series) -> str:
    values = [value for value in series.y if value is not None]
    return f"{series.name.capitalize()}: from {number(values[0])} to {number(values[-1])}."


def class_counts(before: Mapping[str, Mapping[str, int]], after: Mapping[str, int] | None) -> list[Plot]:
    """Images by class and split ``before`` augmentation and, where there is any, training files by class ``after``."""
    classes = classes_of(before, after)
    by_split = [Series(split, classes, [counts.get(name, 0) for name in classes]) for split, counts in before.items()]
    plots = [_counts("classes-before", "Images by class and split, before augmentation", "images", by_split)]
    if after is not None:
        files = [Series("train", classes, [after.get(name, 0) for name in classes])]
        plots.append(_counts("classes-after", "Training files by class, after augmentation", "training files", files))
    return [plot for plot in plots if plot.figure.series and classes]


def classes_of(before: Mapping[str, Mapping[str, int]], after: Mapping[str, int] | None) -> tuple[str, ...]:
    """Every class that has a count, in order of appearance."""
    return tuple(dict.fromkeys(name for counts in (*before.values(), after or {}) for name in counts))


def files_by_class(rows: Sequence[Row], files: Mapping[str, int]) -> Plot:
    """Images of each class before and after augmentation; ``files``: how many each row has, by id."""
    before, after = Counter(row.label for row in rows), Counter[str]()
    for row in rows:
        after[row.label] += files[row.id]
    classes = sorted(before)
    series = [
        Series(name, classes, [counts[each] for each in classes])
        for name, counts in (("before", before), ("after", after))
    ]
    return _counts("classes", "Images by class, before and after augmentation", "images", series)


def _counts(name: str, title: str, what: str, series: Sequence[Series]) -> Plot:
    words = "; ".join(
        f"{one.name}: " + ", ".join(f"{x} {number(y)}" for x, y in zip(one.x[:8], one.y[:8], strict=True))
        for one in series
    )
    return Plot(Figure(name, title, "bars", f"{title}. {words}.", x_label=what, series=series))


def hidden_categories(figure: Figure) -> int:
    """How many categories of a bar chart are left out of its drawing."""
    return max(0, len(categories(figure)) - MAX_BARS) if figure.kind == "bars" else 0


def categories(figure: Figure) -> list[str]:
    """The categories of a bar chart, in order of appearance."""
    return list(dict.fromkeys(str(x) for series in figure.series for x in series.x))


def is_counts(figure: Figure) -> bool:
    """Whether a matrix holds counts, each then shaded by its share of the row."""
    return all(v is not None and v >= 0 and float(v).is_integer() for row in figure.values for v in row)


def has_shares(figure: Figure) -> bool:
    """Whether there is room to write each count's share of the row below it."""
    return is_counts(figure) and max(len(figure.rows), len(figure.columns)) <= 6


def is_drawable(figure: Figure) -> bool:
    """Whether a figure holds anything to draw."""
    if figure.kind == "matrix":
        return any(len(row) for row in figure.values)
    return any(len(series.x) for series in figure.series)


def intervals(name: str, label: str, rows: Sequence[IntervalRow]) -> list[Plot]:
    """One metric of several runs or arms; no plot of fewer than two, for then there is nothing to compare."""
    if len(rows) < 2:
        return []
    title = f"{label[:1].upper()}{label[1:]} with 95 % intervals"
    words = "; ".join(f"{row.name}: {with_interval(row.metric)}" for row in rows)
    return [Plot(Figure(name, title, "lines", f"{title}. {words}.", x_label=label), rows=rows)]


def metric_intervals(key: str, label: str, runs: Sequence[RunView]) -> list[Plot]:
    """A metric of every run that has it."""
    rows = [IntervalRow(run.id, metric, not run.is_fair) for run in runs if (metric := metric_of(run, key))]
    return intervals(f"intervals-{key}", label, rows)


@dataclass(frozen=True, slots=True)
class RunPlots:
    """The plots of one run, by where a page shows them. Each has a name of its own, fit for a file."""

    training: Sequence[Plot]
    evaluation: Sequence[Plot]
    external: Sequence[Plot]
    classes: Sequence[Plot]

    @property
    def all(self) -> list[Plot]:
        """All of them."""
        return [*self.training, *self.evaluation, *self.external, *self.classes]


def of_run(run: RunView) -> RunPlots:
    """Learning curves, the evaluators' figures, the matrices of other datasets, and images by class."""
    taken: set[str] = set()

    def named(plots: Sequence[Plot]) -> list[Plot]:
        return [replace(plot, figure=replace(plot.figure, name=_unique(plot.figure.name, taken))) for plot in plots]

    files = None if run.record.train_on == "originals" else run.record.training_files
    return RunPlots(
        training=named(learning_curves(run.history)),
        evaluation=named([Plot(figure) for figure in run.evaluation.figures if is_drawable(figure)]),
        external=named([plot for number, each in enumerate(run.external, 1) for plot in _external(number, each)]),
        classes=named(class_counts(run.record.data.counts, files)),
    )


def _external(number: int, evaluation: EvaluationRecord) -> list[Plot]:
    """The matrices of an evaluation on another dataset, which their titles name."""
    where = shorten(evaluation.external, 60)
    matrices = [figure for figure in evaluation.figures if figure.kind == "matrix" and is_drawable(figure)]
    return [
        Plot(replace(figure, name=f"external-{number}-{figure.name}", title=f"{figure.title}, {where}"))
        for figure in matrices
    ]


def _unique(name: str, taken: set[str]) -> str:
    """``name`` as the stem of a file that is not ``taken`` yet: letters, digits, ``-``; none that Windows reserves."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:60]
    if not stem or re.fullmatch(r"con|prn|aux|nul|(com|lpt)\d", stem):
        stem = f"figure-{stem}".rstrip("-")
    unique, number = stem, 2
    while unique in taken:
        unique, number = f"{stem}-{number}", number + 1
    taken.add(unique)
    return unique
