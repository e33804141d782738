"""What there is to draw: a plugin's figures with the report's additions, learning curves, class counts, intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from toolbox.api.evaluator import Figure, Metric, Series
from toolbox.report.inputs import DataView, Epoch, RunView
from toolbox.report.wording import counted, metric_of, number, with_interval

MAX_BARS = 40
"""Categories that a bar chart shows; a table has the rest."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at ``x`` with a word on either side: where one stage of training ends and the next begins."""

    x: float
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with marks. ``bounded``: ``y`` lies in [0, 1], which the axis then never leaves."""

    figure: Figure
    marks: Sequence[Mark] = ()
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """A run's metric. ``doubtful``: leaky, or not held out."""

    name: str
    metric: Metric
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Intervals:
    """One metric of several runs, each with its interval, on one axis."""

    name: str
    title: str
    alt: str
    x_label: str
    rows: Sequence[IntervalRow]


Drawing = Plot | Intervals


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


def class_counts(data: DataView) -> list[Plot]:
    """Images by class and split before augmentation and, where there is any, training files by class after."""
    classes = data.classes
    plots = [
        _counts(
            "classes-before",
            "Images by class and split, before augmentation",
            "images",
            [
                Series(split, classes, [counts.get(name, 0) for name in classes])
                for split, counts in data.counts_before.items()
            ],
        )
    ]
    if data.counts_after is not None:
        after = data.counts_after
        series = [Series("train", classes, [after.get(name, 0) for name in classes])]
        plots.append(_counts("classes-after", "Training files by class, after augmentation", "training files", series))
    return [plot for plot in plots if plot.figure.series and classes]


def _counts(name: str, title: str, what: str, series: Sequence[Series]) -> Plot:
    spoken = "; ".join(
        f"{one.name}: " + ", ".join(f"{x} {number(y)}" for x, y in zip(one.x[:8], one.y[:8], strict=True))
        for one in series
    )
    return Plot(Figure(name, title, "bars", f"{title}. {spoken}.", x_label=what, series=series))


def hidden_categories(figure: Figure) -> int:
    """How many categories of a bar chart are left out of its drawing."""
    return max(0, len(categories(figure)) - MAX_BARS) if figure.kind == "bars" else 0


def categories(figure: Figure) -> list[str]:
    """The categories of a bar chart, in order of appearance."""
    return list(dict.fromkeys(str(x) for series in figure.series for x in series.x))


def metric_intervals(key: str, label: str, runs: Sequence[RunView]) -> Intervals | None:
    """A metric of every run that has it; ``None`` where fewer than two do, for then there is nothing to compare."""
    rows = [
        IntervalRow(run.id, metric, run.leaky or not run.held_out) for run in runs if (metric := metric_of(run, key))
    ]
    if len(rows) < 2:
        return None
    spoken = "; ".join(f"{row.name}: {with_interval(row.metric)}" for row in rows)
    title = f"{label[:1].upper()}{label[1:]} with 95 % intervals"
    return Intervals(f"intervals-{key}", title, f"{title}. {spoken}.", label, rows)


def totals(data: DataView) -> Mapping[str, int]:
    """Images by split."""
    return {split: sum(counts.values()) for split, counts in data.counts_before.items()}
