"""Tables of a report as text in cells, for whatever sets them: the page, the terminal."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass

from toolbox.plugin.protocols import Metric, Table
from toolbox.report.inputs import DataView, RunView
from toolbox.report.plots import totals
from toolbox.report.wording import (
    UNDEFINED,
    UNDEFINED_MEANING,
    interval,
    metric_label,
    number,
    run_name,
)


@dataclass(frozen=True, slots=True)
class Cell:
    """``text``, a smaller line ``below`` it, and ``hint``, shown on hover. ``link`` is an anchor in the page."""

    text: str
    below: str = ""
    hint: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; ``figures`` for a column of numbers."""

    text: str
    figures: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. The first cell of a row names it."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    @property
    def undefined(self) -> bool:
        """Whether any cell stands for a value that is not defined."""
        return any(cell.text == UNDEFINED for row in self.rows for cell in row)


def value_cell(metric: Metric | None) -> Cell:
    """A metric with its interval below; empty where the evaluators don't give this metric at all."""
    if metric is None:
        return Cell("")
    if number(metric.value) == UNDEFINED:
        return Cell(UNDEFINED, hint=UNDEFINED_MEANING)
    ends = interval(metric)
    hint = f"95 % interval: {metric.method}" if ends and metric.method else metric.method
    return Cell(number(metric.value), below=ends, hint=hint)


def results(runs: Sequence[RunView], columns: Sequence[tuple[str, str]]) -> Grid:
    """Runs by metrics; ``columns`` are keys and headings. Names link to ``#run-1``, …."""
    return Grid(
        "Results, each value with its 95 % interval",
        [Column("run"), Column("evaluated on"), *(Column(label, figures=True) for _, label in columns)],
        [
            [
                Cell(run.id, below="" if run_name(run) == run.id else run.model, link=f"#run-{at}"),
                Cell(f"{run.split}, n = {run.n:,}" if run.evaluation else "nothing yet", below=", ".join(flags(run))),
                *(value_cell(run.evaluation.metrics.get(key) if run.evaluation else None) for key, _ in columns),
            ]
            for at, run in enumerate(runs, start=1)
        ],
    )


def flags(run: RunView) -> list[str]:
    """What speaks against a run's figures, in a word or two each."""
    return [
        text
        for text, holds in (
            ("leaky", run.leaky),
            ("not held out", run.evaluation is not None and not run.held_out),
            ("random weights", run.random_weights),
        )
        if holds
    ]


def all_metrics(run: RunView) -> Grid | None:
    """Every metric of a run with interval and method; ``None`` where there is none."""
    metrics = run.evaluation.metrics if run.evaluation else {}
    rows = [
        [Cell(metric_label(key, metric.label)), *_spread(metric), Cell(metric.method)]
        for key, metric in metrics.items()
    ]
    headings = [Column("metric"), Column("value", True), Column("95 % interval", True), Column("interval by")]
    return Grid("All metrics", headings, rows) if rows else None


def _spread(metric: Metric) -> tuple[Cell, Cell]:
    cell = value_cell(metric)
    return Cell(cell.text, hint=cell.hint if cell.text == UNDEFINED else ""), Cell(cell.below)


def from_plugin(table: Table) -> Grid:
    """A plugin's table; a column holds figures if every value that is there is a number."""
    numeric = [
        all(isinstance(row[at], numbers.Real) or row[at] is None for row in table.rows) and at > 0
        for at in range(len(table.columns))
    ]
    return Grid(
        table.title,
        [Column(text, figures) for text, figures in zip(table.columns, numeric, strict=True)],
        [[_plain(value) for value in row] for row in table.rows],
    )


def _plain(value: object) -> Cell:
    text = number(value)
    return Cell(text, hint=UNDEFINED_MEANING if text == UNDEFINED else "")


def class_counts(data: DataView) -> Grid:
    """Images by class and split, with sums; where there are copies, the training files too."""
    splits, after = list(data.counts_before), data.counts_after
    rows = []
    for name in data.classes:
        row = [data.counts_before[split].get(name, 0) for split in splits]
        rows.append([name, *row, sum(row), *([after.get(name, 0)] if after is not None else [])])
    sums = totals(data)
    bottom = [*sums.values(), sum(sums.values()), *([sum(after.values())] if after is not None else [])]
    headings = [*(split or "no split yet" for split in splits), "all"]
    if after is not None:
        headings.append("training files after augmentation")
    return Grid(
        "Images by class and split",
        [Column("class"), *(Column(text, figures=True) for text in headings)],
        [[_plain(value) for value in row] for row in [*rows, ["all", *bottom]]],
    )


def quarantined(listed: Sequence[tuple[str, str]]) -> Grid:
    """Files that were left out, and why."""
    rows = [[Cell(path), Cell(reason)] for path, reason in listed]
    return Grid("Files left out because they could not be read", [Column("file"), Column("reason")], rows)
