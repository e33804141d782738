"""A study's page: its question, the arms with intervals, the comparisons in words. One file, no network, no script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import toolbox
from toolbox.api.evaluator import Metric
from toolbox.files.atomic import write_bytes
from toolbox.report.figures import alt_of, to_page_svg
from toolbox.report.page_assets import environment, stylesheet
from toolbox.report.plots import IntervalRow, Intervals

if TYPE_CHECKING:
    from toolbox.study.file import StudyFile
    from toolbox.study.results import Results


def write_study_page(file: StudyFile, results: Results, path: Path) -> None:
    """Write the page to ``path``, whole or not at all.

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: it can't be written.
    """
    from markupsafe import Markup

    drawing = _intervals(results)
    # Safe: made here from data that the SVG writer escaped.
    chart = Markup(to_page_svg(drawing, "arms")) if drawing else None
    text = (
        environment()
        .get_template("study.html.j2")
        .render(
            file=file,
            results=results,
            chart=chart,
            alt=alt_of(drawing) if drawing else "",
            style=stylesheet(),
            version=toolbox.__version__,
        )
    )
    write_bytes(path, text.encode("utf-8"))


def _intervals(results: Results) -> Intervals | None:
    rows = [
        IntervalRow(cell.name, Metric(cell.value, cell.low, cell.high), cell.leaky or not cell.held_out)
        for cell in results.cells
        if cell.value is not None
    ]
    if len(rows) < 2:
        return None
    words = "; ".join(f"{row.name}: {row.metric.value:.3f}" for row in rows)
    return Intervals(
        name="arms", title="Accuracy of each arm", alt=f"Accuracy: {words}.", x_label="accuracy", rows=rows
    )
