"""``report.html``: one file that needs no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import toolbox
from toolbox.files.atomic import write_bytes
from toolbox.plugin.protocols import Gallery
from toolbox.report import figures, pictures, plots, svg, tables, wording
from toolbox.report.drawing.matrix import has_shares, is_counts
from toolbox.report.drawing.style import WIDTH
from toolbox.report.inputs import DataView, ReportInputs, RunView
from toolbox.report.palette import DARK, LIGHT
from toolbox.report.pictures import Picture
from toolbox.report.plots import Drawing, Plot
from toolbox.report.tables import Grid

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MAX_QUARANTINED = 50


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure for the page. ``wide`` ones keep their size and scroll where the page is narrower."""

    title: str
    note: str
    svg: Markup
    width: int
    wide: bool


@dataclass(frozen=True, slots=True)
class RunSection:
    """A run, ready to be set: its figures drawn, its tables as text."""

    run: RunView
    anchor: str
    name: str
    warnings: Sequence[str]
    curves: Sequence[Drawn]
    figures: Sequence[Drawn]
    metrics: Grid | None
    tables: Sequence[Grid]
    galleries: Sequence[tuple[Gallery, Sequence[tuple[Picture, str]]]]


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


def write_report(inputs: ReportInputs, path: Path) -> None:
    """Write the report to ``path``, whole or not at all.

    Raises
    ------
    toolbox.errors.EnvironmentFailure: it can't be written; what was there before is then still there.
    """
    write_bytes(path, render(inputs).encode("utf-8"))


def render(inputs: ReportInputs) -> str:
    """The page. Equal inputs give equal text."""
    columns = wording.result_columns(inputs.runs)
    template = environment().get_template("report.html.j2")
    return template.render(
        inputs=inputs,
        version=toolbox.__version__,
        style=stylesheet(),
        summary=wording.summarise(inputs),
        results=tables.results(inputs.runs, columns),
        overview=_overview(inputs.runs, columns),
        sections=[_run_section(at, run, inputs) for at, run in enumerate(inputs.runs, start=1)],
        data=_data_section(inputs.data) if inputs.data else None,
    )


def environment() -> Environment:
    """How every page is set: everything escaped and cleaned of control characters, nothing undefined."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        # Whatever a template prints passes here, before it is escaped.
        return wording.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader("toolbox.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = wording.number
    environment.filters["path"] = _breakable
    return environment


def _breakable(text: str) -> Markup:
    """``text`` with a place to break after each slash."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in wording.clean(text).split("/"))


def stylesheet() -> Markup:
    """The palette's colours as custom properties, then the stylesheet."""
    from markupsafe import Markup

    light, dark = (" ".join(f"--{role}: {colour};" for role, colour in scheme.items()) for scheme in (LIGHT, DARK))
    rules = files("toolbox.report").joinpath("templates", "report.css").read_text("utf-8")
    schemes = f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    return Markup(schemes + rules)


def _overview(runs: Sequence[RunView], columns: Sequence[tuple[str, str]]) -> list[Drawn]:
    """The headline metric of several runs on one axis."""
    labels = dict(columns)
    if wording.HEADLINE not in labels:
        return []
    drawing = plots.metric_intervals(wording.HEADLINE, labels[wording.HEADLINE], runs)
    return [_drawn(drawing, "overview")] if drawing else []


def _run_section(at: int, run: RunView, inputs: ReportInputs) -> RunSection:
    evaluation = run.evaluation
    evaluated = [Plot(figure) for figure in (evaluation.figures if evaluation else ()) if figures.drawable(figure)]
    known = {inputs.data.note} if inputs.data else set()  # what the summary says already
    return RunSection(
        run=run,
        anchor=f"run-{at}",
        name=wording.run_name(run),
        warnings=[text for text in dict.fromkeys(run.warnings) if text not in known],
        curves=[_drawn(plot, f"r{at}c{i}") for i, plot in enumerate(plots.learning_curves(run.history), start=1)],
        figures=[_drawn(plot, f"r{at}f{i}") for i, plot in enumerate(evaluated, start=1)],
        metrics=tables.all_metrics(run) if evaluation else None,
        tables=[tables.from_plugin(table) for table in (evaluation.tables if evaluation else ())],
        galleries=[(gallery, pictures.embed_gallery(gallery)) for gallery in run.galleries],
    )


def _data_section(data: DataView) -> DataSection:
    listed = data.quarantined[:MAX_QUARANTINED]
    return DataSection(
        data=data,
        charts=[_drawn(plot, f"d{i}") for i, plot in enumerate(plots.class_counts(data), start=1)],
        counts=tables.class_counts(data),
        samples=pictures.embed_samples(data.samples),
        copies=pictures.embed_copies(data.copies),
        quarantined=tables.quarantined(listed) if listed else None,
        more_quarantined=len(data.quarantined) - len(listed),
    )


def _drawn(drawing: Drawing, key: str) -> Drawn:
    from markupsafe import Markup

    text = figures.to_page_svg(drawing, key)
    width, _ = svg.view_box(text)
    # Safe: made here from data that the SVG writer escaped.
    return Drawn(figures.title_of(drawing), _note(drawing), Markup(text), round(width), width > WIDTH + 1)


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
