"""``report.html``: one file that needs no network, and no script to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import toolbox
from toolbox.api.evaluator import Gallery
from toolbox.files.names import safe_name
from toolbox.report import figures, pictures, plots, svg, tables, wording
from toolbox.report.drawing.matrix import has_shares, is_counts
from toolbox.report.drawing.style import WIDTH
from toolbox.report.inputs import DataView, ExternalView, ReportInputs, RunView
from toolbox.report.page_assets import dressing, environment
from toolbox.report.pictures import Picture
from toolbox.report.plots import Drawing, Plot
from toolbox.report.summary import summarise
from toolbox.report.tables import Grid

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_QUARANTINED = 50
UNFOLDED = 3
"""Runs up to which each one's section is open."""

REFUSED_SHOWN = 6
OVERVIEW = ("accuracy", "auc")
"""Metrics that are drawn for all runs side by side."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure for the page. ``wide`` ones keep their size and scroll where the page is narrower.

    ``name`` is what its file is called when it is saved.
    """

    title: str
    note: str
    name: str
    svg: Markup
    width: int
    wide: bool


@dataclass(frozen=True, slots=True)
class ComparisonSection:
    """A comparison as tables; ``arms`` where any has several runs."""

    arms: Grid | None
    verdicts: Grid
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class RunSection:
    """A run, ready to be set: its figures drawn, its tables as text. ``folded``: opened by a click."""

    run: RunView
    anchor: str
    name: str
    folded: bool
    warnings: Sequence[str]
    curves: Sequence[Drawn]
    figures: Sequence[Drawn]
    metrics: Grid | None
    tables: Sequence[Grid]
    galleries: Sequence[tuple[Gallery, Sequence[tuple[Picture, str]]]]
    external: Grid | None
    external_figures: Sequence[Drawn]


@dataclass(frozen=True, slots=True)
class DataSection:
    """The data, ready to be set."""

    data: DataView
    charts: Sequence[Drawn]
    counts: Grid
    samples: Sequence[Picture]
    copies: Sequence[tuple[Picture, Sequence[Picture]]]
    quarantined: Grid | None
    more_quarantined: int
    leaks: Grid | None
    leak_count: int


def render(inputs: ReportInputs) -> str:
    """The page. Equal inputs give equal text."""
    columns = wording.result_columns(inputs.runs)
    template = environment().get_template("report.html.j2")
    return template.render(
        inputs=inputs,
        version=toolbox.__version__,
        page=dressing(),
        summary=summarise(inputs),
        results=tables.results(inputs.runs, columns),
        overview=_overview(inputs.runs, columns),
        comparisons=[
            ComparisonSection(tables.arms(found), tables.verdicts(found), found.notes) for found in inputs.comparisons
        ],
        holm=any(verdict.holm for found in inputs.comparisons for verdict in found.verdicts),
        refused_shown=REFUSED_SHOWN,
        sections=[_run_section(at, run, inputs, columns) for at, run in enumerate(inputs.runs, start=1)],
        data=_data_section(inputs.data) if inputs.data else None,
    )


def _overview(runs: Sequence[RunView], columns: Sequence[tuple[str, str]]) -> list[Drawn]:
    """Metrics of several runs, each on one axis."""
    drawings = [plots.metric_intervals(key, label, runs) for key, label in columns if key in OVERVIEW]
    return [_drawn(drawing, f"o{at}") for at, drawing in enumerate(drawings, start=1) if drawing]


def _run_section(at: int, run: RunView, inputs: ReportInputs, columns: Sequence[tuple[str, str]]) -> RunSection:
    evaluation = run.evaluation
    evaluated = [Plot(figure) for figure in (evaluation.figures if evaluation else ()) if figures.drawable(figure)]
    known = {inputs.data.note} if inputs.data else set()  # what the summary says already
    return RunSection(
        run=run,
        anchor=f"run-{at}",
        name=wording.run_name(run),
        folded=len(inputs.runs) > UNFOLDED,
        warnings=[text for text in dict.fromkeys(run.warnings) if text not in known],
        curves=_all_drawn(plots.learning_curves(run.history), f"r{at}c", run.id),
        figures=_all_drawn(evaluated, f"r{at}f", run.id),
        metrics=tables.all_metrics(run) if evaluation else None,
        tables=tables.of_evaluation(evaluation.tables if evaluation else ()),
        galleries=[(gallery, pictures.embed_gallery(gallery)) for gallery in run.galleries],
        external=tables.external(run, columns),
        external_figures=[
            drawn
            for number, each in enumerate(run.external, start=1)
            for drawn in _all_drawn(_confusions(each), f"r{at}e{number}f", f"{run.id}-external-{number}")
        ],
    )


def _confusions(external: ExternalView) -> list[Plot]:
    """Its matrices, each with the dataset's name."""
    found = [figure for figure in external.evaluation.figures if figure.kind == "matrix" and figures.drawable(figure)]
    return [Plot(replace(figure, title=f"{figure.title}, {wording.shorten(external.data, 60)}")) for figure in found]


def _data_section(data: DataView) -> DataSection:
    listed = data.quarantined[:MAX_QUARANTINED]
    return DataSection(
        data=data,
        charts=_all_drawn(plots.class_counts(data), "d"),
        counts=tables.class_counts(data),
        samples=pictures.embed_samples(data.samples),
        copies=pictures.embed_copies(data.copies),
        quarantined=tables.quarantined(listed) if listed else None,
        more_quarantined=len(data.quarantined) - len(listed),
        leaks=tables.leaks(data.audit) if data.audit and data.audit.leaks else None,
        leak_count=sum(count for _, count in data.audit.leaks) if data.audit else 0,
    )


def _all_drawn(drawings: Sequence[Drawing], key: str, run: str = "") -> list[Drawn]:
    return [_drawn(drawing, f"{key}{at}", run) for at, drawing in enumerate(drawings, start=1)]


def _drawn(drawing: Drawing, key: str, run: str = "") -> Drawn:
    """``key`` begins the ids in its SVG, ``run`` the name of its file."""
    from markupsafe import Markup

    text = figures.to_page_svg(drawing, key)
    width, _ = svg.view_box(text)
    # Safe: made here from data that the SVG writer escaped.
    name = "-".join(filter(None, [safe_name(run) if run else "", figures.name_of(drawing)]))
    return Drawn(figures.title_of(drawing), _note(drawing), name, Markup(text), round(width), width > WIDTH + 1)


def _note(drawing: Drawing) -> str:
    """What a caption adds to the title."""
    if not isinstance(drawing, Plot):
        doubtful = any(row.doubtful for row in drawing.rows)
        return "Dot: value; bar: interval." + (" Hollow: leaky, or not held out." if doubtful else "")
    figure = drawing.figure
    hidden = plots.hidden_categories(figure)
    if hidden:
        return f"{hidden} more are left out here; the table has them all."
    if figure.kind == "matrix" and is_counts(figure):
        return "Counts, and below each its share of the row." if has_shares(figure) else "Shade: share of the row."
    if drawing.marks:
        return f"The vertical line is where the stage “{drawing.marks[0].before}” ends."
    return ""
