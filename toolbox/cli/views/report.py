"""The report's views for a terminal: rich renderables from the same inputs. Nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from toolbox.files.command_line import command_line
from toolbox.report import plots, tables
from toolbox.report.inputs import ReportInputs, RunView
from toolbox.report.plots import Plot, stage_name
from toolbox.report.summary import summarize
from toolbox.report.tables import Cell, TextTable
from toolbox.report.wording import counted, number, result_columns, run_name

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from toolbox.evaluation.compare import ComparisonResult

MIN_WIDTH = 60
"""Columns below which curves are left out: they would not be legible."""

MAX_CLASSES, MAX_METRICS = 12, 13
"""Classes of a confusion matrix, and metrics of one run, that a terminal shows."""

_MAX_WIDTH, _CURVE_HEIGHT = 110, 8
_AXIS = len("0.123 │")
_INTERVAL = len("0.915–0.990")
# Told apart without color, too: points for training, a line for validation.
_CURVES = {"training": ("•", "cyan"), "validation": ("", "yellow")}


def summary(inputs: ReportInputs) -> RenderableType:
    """The two sentences at the top of a report, and its caveats."""
    report_summary = summarize(inputs)
    text = _text(f"{report_summary.finding} {report_summary.limits}")
    for caveat in report_summary.caveats:
        text.append(f"\n{caveat.title}: ", "bold yellow").append(caveat.text)
    return text


def results_table(runs: Sequence[RunView]) -> RenderableType:
    """The runs' metrics, each value with its 95 % interval below it; for one run its first metrics, one per line.

    It fits into 80 columns: a run's name stands on a line of its own above its values.
    """
    from rich.console import Group

    if len(runs) == 1:
        return _metrics_of(runs[0])
    results = tables.results(runs, result_columns(runs))
    parts: list[RenderableType] = [
        _values([_text(column.text, "bold") for column in results.columns if column.numeric])
    ]
    for name, evaluated, *values in results.rows:
        line = _text(name.text, "bold")
        line.append(f"  {name.below}  {evaluated.text}" if name.below else f"  {evaluated.text}", "dim")
        parts.append(line.append(f"  {evaluated.below}" if evaluated.below else "", "yellow"))
        parts.append(_values([_cell(cell) for cell in values]))
    return Group(*parts)


def _values(cells: Sequence[Text]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in cells:
        table.add_column(justify="right", width=_INTERVAL)
    table.add_row(*cells)
    return table


def _metrics_of(run: RunView) -> RenderableType:
    from rich.console import Group

    metrics = tables.all_metrics(run)
    if metrics is None:
        return _text("No metrics yet.")
    rows = [[name, value, Cell(interval.text)] for name, value, interval in metrics.rows[:MAX_METRICS]]
    table = text_table(replace(metrics, rows=rows))
    if len(metrics.rows) <= MAX_METRICS:
        return table
    workspace = run.folder.parents[1] if run.folder else Path()
    line = _text(f"{len(metrics.rows) - MAX_METRICS} more: {command_line('evaluate', run.id, workspace=workspace)}")
    line.no_wrap, line.overflow = True, "ignore"  # in one piece, to be copied
    return Group(table, line)


def heading(run: RunView) -> RenderableType:
    """A run's name above what is shown of it."""
    return _text(run_name(run), "bold")


def differences(comparison: ComparisonResult) -> RenderableType:
    """The differences between runs with the same test set: a line per pair, or per metric of two runs."""
    from rich.console import Group

    verdicts = tables.verdicts(comparison)
    return Group(_text(f"{verdicts.title}:", "bold"), text_table(verdicts), "") if verdicts else ""


def confusion_matrix(run: RunView) -> RenderableType | None:
    """The run's confusion matrix; ``None`` where it has none, or one too wide for a terminal."""
    for figure in run.evaluation.figures:
        if figure.kind == "matrix" and "confusion" in figure.name and figure.rows == figure.columns:
            return text_table(tables.matrix(figure)) if len(figure.columns) <= MAX_CLASSES else None
    return None


def learning_curves(run: RunView, width: int, height: int = _CURVE_HEIGHT) -> RenderableType | None:
    """Loss and accuracy by epoch, side by side in ``width`` columns and ``height`` lines.

    ``None`` where there is nothing to see: below :data:`MIN_WIDTH` columns, or with a single epoch.
    """
    from rich.console import Group
    from rich.table import Table

    curves = plots.learning_curves(run.history)
    if width < MIN_WIDTH or len(run.history) < 2 or not curves:
        return None
    side = (min(width, _MAX_WIDTH) - 2) // 2
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*(_panel(curve, side, height) for curve in curves))
    legend = _text("")
    for name in dict.fromkeys(series.name for curve in curves for series in curve.figure.series):
        sign, color = _CURVES[name]
        legend.append(f"{(sign or '⠒') * 2} ", color).append(f"{name}  ")
    stages = " then ".join(dict.fromkeys(stage_name(epoch.stage) for epoch in run.history))
    legend.append(f"{counted(len(run.history), 'epoch')}: {stages}", "dim")
    return Group(grid, legend, "")


def _panel(curve: Plot, width: int, height: int) -> Text:
    """One plot, ``width`` columns wide: braille within axes that are labelled at their ends."""
    import plotille
    from rich.text import Text

    values = [y for series in curve.figure.series for y in series.y if y is not None]
    low = min(0.5, *values) if curve.bounded else min(0.0, *values)
    high = 1.0 if curve.bounded else max(values)
    epochs = len(curve.figure.series[0].x)
    columns = width - _AXIS
    # The canvas ends one dot beyond the last that it draws: 2 dots by 4 in a character.
    right = 1 + (epochs - 1) * 2 * columns / (2 * columns - 1)
    top = low + ((high - low) or 1.0) * 4 * height / (4 * height - 1)
    canvas = plotille.Canvas(columns, height, 1, low, right, top, mode="names")
    for series in curve.figure.series:
        sign, color = _CURVES[series.name]
        points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if y is not None]
        if sign or len(points) == 1:
            for point in points:
                canvas.point(*point, color=color, marker=sign or None)
        for start, end in pairwise(() if sign else points):
            canvas.line(*start, *end, color=color)
    ends = {0: number(high), height - 1: number(low)}
    lines = [f"{'':{_AXIS}}{curve.figure.y_label}"]
    lines += [f"{ends.get(at, ''):>{_AXIS - 2}} │{row}" for at, row in enumerate(canvas.plot().splitlines())]
    lines += [f"{'└':>{_AXIS}}{'─' * columns}", f"{'':{_AXIS}}1{epochs:>{columns - 1}}"]
    return Text.from_ansi("\n".join(lines), no_wrap=True)


def text_table(content: TextTable) -> Table:
    """One of the report's tables, without its title."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in content.columns:
        table.add_column(_text(column.text), justify="right" if column.numeric else "left", overflow="fold")
    for row in content.rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(cell: Cell) -> Text:
    text = _text(cell.text, "bold green" if cell.text.endswith(" is better") else "")
    return text.append(f"\n{cell.below}", "dim") if cell.below else text


def _text(text: str, style: str = "") -> Text:
    # A Text, never a string: "[red]" is a class name here and no markup.
    from rich.text import Text

    return Text(text, style)
