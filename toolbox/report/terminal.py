"""The report's views for a terminal: rich renderables from the same inputs; nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolbox.report.inputs import Epoch, RunView
from toolbox.report.plots import finite, stage_name
from toolbox.report.wording import clean, metric_of, number, result_columns, shorten, with_interval

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

NARROWEST = 60
"""Columns below which curves are left out: they could not be read."""

_CURVE_HEIGHT = 8
_AXIS = 18  # columns that plotille's axis takes
_MOST_CLASSES = 12


def results_table(runs: Sequence[RunView]) -> Table:
    """The runs' metrics with their 95 % intervals: a row for each run, or, for one run, a row for each metric."""
    from rich.table import Table
    from rich.text import Text

    columns = result_columns(runs)
    if len(runs) == 1:
        run = runs[0]
        table = Table("metric", "value (95 % interval)", box=None, pad_edge=False, header_style="bold")
        for key, label in columns:
            table.add_row(Text(clean(label)), _cell(run, key))
        return table
    table = Table(
        "run", "n", *(Text(label).plain for _, label in columns), box=None, pad_edge=False, header_style="bold"
    )
    for run in runs:
        name = Text(shorten(run.id, 40), "bold")
        table.add_row(name, f"{run.n:,} {run.split}", *(_cell(run, key) for key, _ in columns))
    return table


def confusion_matrix(run: RunView) -> RenderableType | None:
    """The run's confusion matrix; ``None`` where it has none, or one too wide for a terminal."""
    from rich.table import Table
    from rich.text import Text

    figures = run.evaluation.figures if run.evaluation else ()
    figure = next((figure for figure in figures if figure.name == "confusion-matrix"), None)
    if figure is None or len(figure.columns) > _MOST_CLASSES:
        return None
    headings = [shorten(name, 14) for name in figure.columns]
    table = Table("true / predicted", box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(Text(heading), justify="right")
    for index, (name, values) in enumerate(zip(figure.rows, figure.values, strict=True)):
        cells = [
            Text(number(int(value)), "bold green" if column == index else "") for column, value in enumerate(values)
        ]
        table.add_row(Text(shorten(name, 14), "bold"), *cells)
    return table


def learning_curves(run: RunView, width: int) -> RenderableType | None:
    """Loss and accuracy by epoch, side by side; ``None`` below :data:`NARROWEST` columns or for a single epoch."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if width < NARROWEST or len(run.history) < 2:
        return None
    side = min((width - 2) // 2, 54)
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*(_panel(run.history, what, side) for what in ("loss", "accuracy")))
    stages = " then ".join(dict.fromkeys(stage_name(epoch.stage) for epoch in run.history))
    legend = Text.assemble(("━ training", "cyan"), "  ", ("━ validation", "yellow"))
    return Group(grid, Text.assemble(legend, (f"   {len(run.history)} epochs: {stages}", "dim")), "")


def _panel(history: Sequence[Epoch], what: str, width: int) -> RenderableType:
    """One curve's plot, ``width`` columns wide."""
    import plotille
    from rich.text import Text

    curves = {"cyan": _points(history, f"train_{what}"), "yellow": _points(history, f"val_{what}")}
    values = [value for points in curves.values() for _, value in points]
    if not values:
        return Text(f"no {what}", "dim")
    figure = plotille.Figure()
    figure.width, figure.height = width - _AXIS, _CURVE_HEIGHT
    figure.color_mode = "names"
    figure.x_label, figure.y_label = "", what
    figure.set_x_limits(1, len(history))
    low = 0.0 if what == "loss" else min(0.5, *values)
    figure.set_y_limits(low, max(1.0 if what == "accuracy" else 0.0, *values) or 1.0)
    figure.x_ticks_fkt = lambda value, _: f"{value:.0f}"
    figure.y_ticks_fkt = lambda value, _: f"{value:.2f}"
    for colour, points in curves.items():
        if points:
            figure.plot(*zip(*points, strict=True), lc=colour)
    return Text.from_ansi(figure.show())


def _cell(run: RunView, key: str) -> str:
    metric = metric_of(run, key)
    return "–" if metric is None else with_interval(metric)


def _points(history: Sequence[Epoch], key: str) -> list[tuple[int, float]]:
    values = [finite(getattr(epoch, key)) for epoch in history]
    return [(number, value) for number, value in enumerate(values, start=1) if value is not None]
