"""Tables of a report as text in cells, for pages, Markdown and the terminal."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolbox.api.evaluator import Figure, Metric, Table
from toolbox.report.inputs import AuditView, DataView, RunView
from toolbox.report.plots import classes_of
from toolbox.report.wording import (
    UNDEFINED,
    UNDEFINED_MEANING,
    count_or_number,
    interval,
    metric_label,
    number,
    p_text,
    run_name,
    shorten,
    signed,
)
from toolbox.runs.evaluation import EvaluationRecord
from toolbox.statistics.wording import format_points

if TYPE_CHECKING:
    from toolbox.evaluation.compare import ComparisonResult
    from toolbox.statistics.verdict import Comparison

LONG, CARDS = 30, 6
"""Rows up to which a table stands open; rows that a phone shows as cards at most."""

CROSSWISE = ("metric", "value", "low", "high")
"""Columns, after the first, of a plugin's table that gives one metric a line."""


TESTS = {
    "mcnemar-mid-p": "McNemar, mid-p",
    "sign-flip-mid-p-by-group": "sign flips of groups, mid-p",
    "delong": "DeLong",
    "delong-by-group": "DeLong, by group",
    "paired-bootstrap": "paired bootstrap",
    "paired-bootstrap-by-group": "paired bootstrap of groups",
    "seeds-t": "t, over images and seeds",
    "folds-t": "corrected t, over folds",
}
"""Tests as people call them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """``text``, a smaller line ``below`` it, and ``hint``, shown on hover. ``link`` is an anchor in the page."""

    text: str
    below: str = ""
    hint: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; ``numeric`` for a column of numbers."""

    text: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table. The first cell of a row names it. ``cards``: on a phone its rows are cards, however many."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    cards: bool = False

    @property
    def long(self) -> bool:
        """Whether it would fill screens, and scrolls in a box of its own instead."""
        return len(self.rows) > LONG

    @property
    def stacks(self) -> bool:
        """Whether a phone shows each row as a card; long tables of many columns are scrolled there."""
        return len(self.columns) > 3 and (self.cards or len(self.rows) <= CARDS)

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


def results(runs: Sequence[RunView], columns: Sequence[tuple[str, str]]) -> TextTable:
    """Runs by metrics; ``columns`` are keys and headings. Names link to ``#run-1``, …."""
    return TextTable(
        "Results, each value with its 95 % interval",
        [Column("run"), Column("evaluated on"), *(Column(label, numeric=True) for _, label in columns)],
        [
            [
                Cell(run.id, below="" if run_name(run) == run.id else run.record.model, link=f"#run-{at}"),
                Cell(f"{run.evaluation.split}, n = {run.evaluation.n:,}", below=", ".join(flags(run))),
                *(value_cell(run.evaluation.metrics.get(key)) for key, _ in columns),
            ]
            for at, run in enumerate(runs, start=1)
        ],
        cards=True,
    )


def verdicts(result: ComparisonResult) -> TextTable | None:
    """Every difference with its interval and p-value, and the primary metric's verdict; ``None`` for a single arm.

    Of two arms by each metric; of more the primary metric, and then only the best arm's against each other one.
    """
    shown = shown_comparisons(result)
    if not shown:
        return None
    two = len(result.arms) == 2
    what = f"{result.arms[1].name} against {result.arms[0].name}, " if two else "The best against each other one, "
    return TextTable(
        f"{what}on the same {result.n:,} images: the difference with its 95 % interval, and the verdict",
        [
            Column("metric" if two else "compared"),
            Column("difference", numeric=True),
            Column("p after Holm" if shown[0].adjusted is not None else "p", numeric=True),
            Column("verdict"),
            Column("test"),
        ],
        [_verdict_row(each, two) for each in shown],
        cards=True,
    )


def shown_comparisons(result: ComparisonResult) -> list[Comparison]:
    """Of two arms all comparisons, of more those by the primary metric that the best arm has part in."""
    if len(result.arms) <= 2:
        return list(result.comparisons)
    best = result.ranked[0].letter
    return [each for each in result.primary if best in each.letters]


def _verdict_row(comparison: Comparison, two: bool) -> list[Cell]:
    a, b = comparison.names
    share = comparison.share
    ends = f"{signed(comparison.low, share)} to {signed(comparison.high, share)}"
    winner = dict(zip(comparison.letters, comparison.names, strict=True)).get(comparison.winner)
    verdict = f"{winner} is better" if winner else "not distinguishable" if comparison.primary else "descriptive"
    return [
        Cell(comparison.label) if two else Cell(b, below=f"against {a}"),
        Cell(signed(comparison.difference, share) + (" points" if share else ""), below=ends),
        Cell(p_text(comparison.deciding_p)),
        Cell(verdict, below=_detectable(comparison)),
        Cell(TESTS.get(comparison.test, comparison.test.replace("-", " "))),
    ]


def _detectable(comparison: Comparison) -> str:
    if comparison.winner or not comparison.primary or comparison.detectable is None:
        return ""
    return f"a true difference of {format_points(comparison.detectable, comparison.share)} would show in 80 %"


def arms(result: ComparisonResult) -> TextTable | None:
    """Means and spreads over seeds; ``None`` where every arm is one run."""
    if all(len(arm.runs) == 1 for arm in result.arms):
        return None
    return TextTable(
        f"Arms: mean {metric_label(result.metric)} over the seeds",
        [Column("arm"), Column("runs"), Column("mean", True), Column("SD between seeds", True)],
        [
            [
                Cell(arm.name),
                Cell(", ".join(run.id for run in arm.runs)),
                Cell(number(arm.mean(result.metric))),
                Cell(number(arm.sd(result.metric))),
            ]
            for arm in result.arms
        ],
    )


def external(run: RunView, columns: Sequence[tuple[str, str]]) -> TextTable | None:
    """The run's evaluations on other datasets; ``None`` where there is none."""
    if not run.external:
        return None
    return TextTable(
        f"{run_name(run)} on other data",
        [Column("dataset"), Column("images", True), *(Column(label, numeric=True) for _, label in columns)],
        [
            [
                Cell(each.external, below=_trained_on(each)),
                Cell(f"{each.n:,}"),
                *(value_cell(each.metrics.get(key)) for key, _ in columns),
            ]
            for each in run.external
        ],
    )


def _trained_on(evaluation: EvaluationRecord) -> str:
    if evaluation.trained_on:
        return f"leaky: {evaluation.trained_on:,} of these images were trained on"
    return "leaky" if evaluation.leaky else ""


def flags(run: RunView) -> list[str]:
    """What speaks against a run's figures, in a word or two each."""
    return [
        text
        for text, holds in (
            ("leaky", run.record.leaky),
            ("not held out", not run.evaluation.held_out),
            ("random weights", run.random_weights),
        )
        if holds
    ]


def all_metrics(run: RunView) -> TextTable | None:
    """Every metric of a run with its interval and, below that, its method; ``None`` where there is none."""
    rows = [[Cell(metric_label(key, metric.label)), *_spread(metric)] for key, metric in run.evaluation.metrics.items()]
    headings = [Column("metric"), Column("value", True), Column("95 % interval", True)]
    return TextTable("All metrics, with the method of each interval", headings, rows) if rows else None


def leakage(evaluation: EvaluationRecord) -> TextTable | None:
    """Every metric on all, on the clean and on the leaked images; ``None`` where none leaked."""
    parts = evaluation.leakage
    if parts is None:
        return None
    subsets = (
        ("all", evaluation.n, evaluation.metrics),
        ("clean", parts.clean.n, parts.clean.metrics),
        ("leaked", parts.leaked.n, parts.leaked.metrics),
    )
    columns = [Column(f"{name}, n = {n:,}", numeric=True) for name, n, _ in subsets]
    names = [name for name in evaluation.metrics if name in parts.clean.metrics or name in parts.leaked.metrics]
    return TextTable(
        "What the leak was worth: every metric on all images, on the clean and on the leaked ones",
        [Column("metric"), *columns],
        [
            [
                Cell(metric_label(name, evaluation.metrics[name].label)),
                *(value_cell(metrics.get(name)) for _, _, metrics in subsets),
            ]
            for name in names
        ],
        cards=True,
    )


def _spread(metric: Metric) -> tuple[Cell, Cell]:
    cell = value_cell(metric)
    return Cell(cell.text, hint=cell.hint if cell.text == UNDEFINED else ""), Cell(cell.below, below=metric.method)


def matrix(figure: Figure) -> TextTable:
    """A matrix figure's values under their headings."""
    corner = f"{figure.y_label} \\ {figure.x_label}"
    return TextTable(
        figure.title,
        [Column(corner), *(Column(shorten(name, 40), numeric=True) for name in figure.columns)],
        [
            [Cell(shorten(name, 40)), *(Cell(count_or_number(value)) for value in values)]
            for name, values in zip(figure.rows, figure.values, strict=True)
        ],
    )


def from_plugin(table: Table) -> TextTable:
    """A plugin's table without columns that are empty; one holds figures if every value that is there is a number."""
    columns = [
        at for at in range(len(table.columns)) if at == 0 or any(row[at] not in (None, "") for row in table.rows)
    ]
    numeric = [
        at > 0 and all(isinstance(row[at], numbers.Real) or row[at] is None for row in table.rows) for at in columns
    ]
    return TextTable(
        table.title,
        [Column(table.columns[at], numeric) for at, numeric in zip(columns, numeric, strict=True)],
        [[_plain(row[at]) for at in columns] for row in table.rows],
    )


def of_evaluation(tables: Sequence[Table]) -> list[TextTable]:
    """A run's tables as they are set: one with intervals takes the place of the same one without."""
    names = {table.name for table in tables}
    plain = {table.name: table for table in tables}
    grids = []
    for table in tables:
        if f"{table.name}-intervals" in names and is_crosswise(plain[f"{table.name}-intervals"]):
            continue
        if is_crosswise(table):
            grids.append(_crosswise(table, plain.get(table.name.removesuffix("-intervals"))))
        else:
            grids.append(from_plugin(table))
    return grids


def is_crosswise(table: Table) -> bool:
    """Whether a table gives one metric a line, with its interval."""
    return tuple(table.columns[1:5]) == CROSSWISE and len(table.columns) <= 6


def _crosswise(table: Table, plain: Table | None) -> TextTable:
    """One row for each name, a column for each metric with its interval below; then what only ``plain`` has."""
    metrics = list(dict.fromkeys(str(row[1]) for row in table.rows))
    rows: dict[str, dict[str, Cell]] = {}
    for name, metric, value, low, high, *method in table.rows:
        figure = Metric(_figure(value), _figure(low), _figure(high), str(method[0]) if method else "")
        rows.setdefault(str(name), {})[str(metric)] = value_cell(figure)
    more = [at for at, column in enumerate(plain.columns) if at and column not in metrics] if plain else []
    for row in plain.rows if plain else ():
        rows.setdefault(str(row[0]), {}).update({plain.columns[at]: _plain(row[at]) for at in more})  # type: ignore[union-attr]  # more is empty without it
    columns = [*metrics, *(plain.columns[at] for at in more if plain)]
    return TextTable(
        table.title,
        [Column(table.columns[0]), *(Column(text, numeric=True) for text in columns)],
        [[Cell(name), *(cells.get(column, Cell("")) for column in columns)] for name, cells in rows.items()],
    )


def _figure(value: str | float | int | None) -> float | None:
    return float(value) if isinstance(value, numbers.Real) else None


def _plain(value: object) -> Cell:
    text = number(value)
    return Cell(text, hint=UNDEFINED_MEANING if text == UNDEFINED else "")


def class_counts(data: DataView) -> TextTable:
    """Images by class and split, with sums; where there are copies, the training files too."""
    splits, after = list(data.counts_before), data.counts_after
    rows = []
    for name in classes_of(data.counts_before, after):
        row = [data.counts_before[split].get(name, 0) for split in splits]
        rows.append([name, *row, sum(row), *([after.get(name, 0)] if after is not None else [])])
    sums = [sum(counts.values()) for counts in data.counts_before.values()]
    bottom = [*sums, sum(sums), *([sum(after.values())] if after is not None else [])]
    headings = [*(split or "no split yet" for split in splits), "all"]
    if after is not None:
        headings.append("training files after augmentation")
    return TextTable(
        "Images by class and split",
        [Column("class"), *(Column(text, numeric=True) for text in headings)],
        [[_plain(value) for value in row] for row in [*rows, ["all", *bottom]]],
    )


def leaks(audit: AuditView) -> TextTable:
    """How many leaks of each kind."""
    rows = [[Cell(kind), Cell(f"{count:,}")] for kind, count in audit.leaks]
    return TextTable("Leaks between the splits", [Column("what was audit"), Column("leaks", numeric=True)], rows)


def quarantined(listed: Sequence[tuple[str, str]]) -> TextTable:
    """Files that were left out, and why."""
    rows = [[Cell(path), Cell(reason)] for path, reason in listed]
    return TextTable("Files left out because they could not be read", [Column("file"), Column("reason")], rows)
