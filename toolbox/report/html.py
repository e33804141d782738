"""``report.html``: one file that needs no network, and no script to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from toolbox.report import figures, page_assets, pictures, plots, tables, wording
from toolbox.report.drawing.style import WIDTH
from toolbox.report.inputs import ReportInputs
from toolbox.report.plots import Plot
from toolbox.report.summary import summarize

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_OPEN = 3
"""Runs up to which each one's section is open."""

OVERVIEW = ("accuracy", "auc")
"""Metrics that are drawn for all runs side by side."""


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A plot as the page shows it. A ``wide`` one keeps its ``width`` (pixels) and scrolls on a narrower page."""

    title: str
    note: str
    svg: Markup
    width: int
    wide: bool


def render(inputs: ReportInputs) -> str:
    """The page. Equal inputs give equal text."""
    columns = wording.result_columns(inputs.runs)
    overview = [
        plot for key, label in columns if key in OVERVIEW for plot in plots.metric_intervals(key, label, inputs.runs)
    ]
    return page_assets.render(
        "report.html.j2",
        report=inputs,
        summary=summarize(inputs),
        columns=columns,
        overview=overview,
        max_open=MAX_OPEN,
        draw=drawer(),
        pictures=pictures,
        plots=plots,
        tables=tables,
        wording=wording,
    )


def drawer() -> Callable[..., list[PageFigure]]:
    """A function that draws plots for one page: their ids are numbered, so that no two are the same."""
    from markupsafe import Markup

    numbers = count(1)

    def draw(drawn: Sequence[Plot], folder: Path | None = None) -> list[PageFigure]:
        page_figures = []
        for plot in drawn:
            text, width = figures.for_page(plot, f"figure-{next(numbers)}", folder)
            # Markup is safe: the SVG writer escaped all text.
            figure = PageFigure(plot.figure.title, plot.note, Markup(text), round(width), width > WIDTH + 1)
            page_figures.append(figure)
        return page_figures

    return draw
