"""The report's views for a terminal: rich renderables from the same inputs. Nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from toolbox.api.evaluator import Figure
from toolbox.report import plots, tables
from toolbox.report.inputs import ComparisonView, ReportInputs, RunView
from toolbox.report.plots import Plot, stage_name
from toolbox.report.summary import summarize
from toolbox.report.tables import Cell
from toolbox.report.wording import (
    clean,
    counted,
    metric_label,
    number,
    p_text,
    result_columns,
    run_name,
    shorten,
    signed,
    signed_interval,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

NARROWEST = 60
"""Columns below which curves are left out: they could not be read."""

_WIDEST, _CURVE_HEIGHT, _MOST_CLASSES = 110, 8, 12
_MOST_METRICS = 13
"""Of one run; further ones are told where they are to be had."""

_AXIS = len("0.123 │")
_FIGURE = len("0.915–0.990")
# Told apart without colour, too: points for training, a line for validation.
_CURVES = {"training": ("•", "cyan"), "validation": ("", "yellow")}


def summary(inputs: ReportInputs) -> RenderableType:
    """The two sentences at a report's head, and its caveats."""
    from rich.text import Text

    found = summarize(inputs)
    text = Text(f"{clean(found.finding)} {clean(found.limits)}")
    for caveat in found.caveats:
        text.append(f"\n{clean(caveat.title)}: ", "bold yellow").append(clean(caveat.text))
    return text


def results_table(runs: Sequence[RunView]) -> RenderableType:
    """The runs' metrics, each value with its 95 % interval below it; for one run its first metrics, one a line.

    80 columns hold it: a run's name stands on a line of its own above its figures.
    """
    from rich.console import Group

    if len(runs) == 1:
        return _metrics_of(runs[0])
    grid = tables.results(runs, result_columns(runs))
    headings = [column for column in grid.columns if column.numeric]
    parts: list[RenderableType] = [_figures_row([_text(column.text, "bold") for column in headings])]
    for run, (name, evaluated, *values) in zip(runs, grid.rows, strict=True):
        parts.append(_run_line(name, evaluated))
        if run.evaluation is None:
            continue
        parts.append(_figures_row([_text(cell.text).append(f"\n{cell.below}", "dim") for cell in values]))
    return Group(*parts)


def _run_line(name: Cell, evaluated: Cell) -> Text:
    line = _text(name.text, "bold")
    line.append(clean(f"  {name.below}  {evaluated.text}" if name.below else f"  {evaluated.text}"), "dim")
    return line.append(f"  {evaluated.below}" if evaluated.below else "", "yellow")


def _figures_row(cells: Sequence[Text]) -> Table:
    table = _plain_table()
    table.show_header = False
    for _ in cells:
        table.add_column(justify="right", width=_FIGURE)
    table.add_row(*cells)
    return table


def _metrics_of(run: RunView) -> Table:
    table = _plain_table()
    for heading in ("metric", "value", "95 % interval"):
        table.add_column(_text(heading), justify="left" if heading == "metric" else "right")
    metrics = dict(run.evaluation.metrics) if run.evaluation else {}
    for key, metric in islice(metrics.items(), _MOST_METRICS):
        cell = tables.value_cell(metric)
        table.add_row(_text(metric_label(key, metric.label)), _text(cell.text), _text(cell.below))
    if len(metrics) > _MOST_METRICS:
        table.add_row(_text(f"{len(metrics) - _MOST_METRICS} more: toolbox evaluate {run.id}", "dim"))
    return table


def heading(run: RunView) -> RenderableType:
    """A run's name above what is shown of it."""
    return _text(run_name(run), "bold")


def differences(found: ComparisonView) -> RenderableType:
    """What the runs of one test set differ by, a line for each pair (of two runs, for each metric)."""
    from rich.console import Group

    table = _plain_table()
    table.add_column(_text("difference"), overflow="fold")
    for title in ("value", "95 % interval", "p"):
        table.add_column(_text(title), justify="right", no_wrap=True)
    table.add_column(_text("verdict"), overflow="fold")
    for verdict in tables.shown_verdicts(found):
        names = f"{found.arm(verdict.b).name} − {found.arm(verdict.a).name}"
        table.add_row(
            _text(verdict.label if len(found.arms) == 2 else names),
            _text(signed(verdict.difference.value, verdict.share) + (" pts" if verdict.share else "")),
            _text(signed_interval(verdict)),
            _text(p_text(verdict.p_value)),
            _text(f"{found.arm(verdict.winner).name} is better", "bold green")
            if verdict.winner
            else _text("not distinguishable", "dim"),
        )
    if len(found.arms) != 2:
        return table
    return Group(_text(f"{found.arms[1].name} against {found.arms[0].name}, {found.n:,} images:", "bold"), table, "")


def confusion_matrix(run: RunView) -> RenderableType | None:
    """The run's confusion matrix; ``None`` where it has none, or one too wide for a terminal."""
    figure = _confusion_figure(run)
    if figure is None or len(figure.columns) > _MOST_CLASSES:
        return None
    table = _plain_table()
    table.add_column(_text(f"{figure.y_label} \\ {figure.x_label}"))
    for name in figure.columns:
        table.add_column(_text(shorten(name, 14)), justify="right")
    for index, (name, values) in enumerate(zip(figure.rows, figure.values, strict=True)):
        cells = [_text(f"{value:,.0f}") for value in values]
        cells[index].stylize("bold")  # what was predicted rightly
        table.add_row(_text(shorten(name, 14)), *cells)
    return table


def _confusion_figure(run: RunView) -> Figure | None:
    figures = run.evaluation.figures if run.evaluation else ()
    return next((f for f in figures if f.kind == "matrix" and "confusion" in f.name and f.rows == f.columns), None)


def learning_curves(run: RunView, width: int, height: int = _CURVE_HEIGHT) -> RenderableType | None:
    """Loss and accuracy by epoch, side by side in ``width`` columns and ``height`` lines.

    ``None`` where there is nothing to see: below :data:`NARROWEST` columns, or with a single epoch.
    """
    from rich.console import Group
    from rich.table import Table

    curves = plots.learning_curves(run.history)
    if width < NARROWEST or len(run.history) < 2 or not curves:
        return None
    side = (min(width, _WIDEST) - 2) // 2
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*(_panel(curve, side, height) for curve in curves))
    legend = _text("")
    for name in dict.fromkeys(series.name for curve in curves for series in curve.figure.series):
        sign, colour = _CURVES[name]
        legend.append(f"{(sign or '⠒') * 2} ", colour).append(f"{name}  ")
    stages = " then ".join(dict.fromkeys(stage_name(epoch.stage) for epoch in run.history))
    legend.append(clean(f"{counted(len(run.history), 'epoch')}: {stages}"), "dim")
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
        sign, colour = _CURVES[series.name]
        points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if y is not None]
        if sign or len(points) == 1:
            for point in points:
                canvas.point(*point, color=colour, marker=sign or None)
        for start, end in pairwise(() if sign else points):
            canvas.line(*start, *end, color=colour)
    ends = {0: number(high), height - 1: number(low)}
    lines = [f"{'':{_AXIS}}{curve.figure.y_label}"]
    lines += [f"{ends.get(at, ''):>{_AXIS - 2}} │{row}" for at, row in enumerate(canvas.plot().splitlines())]
    lines += [f"{'└':>{_AXIS}}{'─' * columns}", f"{'':{_AXIS}}1{epochs:>{columns - 1}}"]
    return Text.from_ansi("\n".join(lines), no_wrap=True)


def _plain_table() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _text(text: str, style: str = "") -> Text:
    # A Text, never a string: "[red]" is a class name here and no markup.
    from rich.text import Text

    return Text(clean(text), style)
