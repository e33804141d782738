"""The formats of a report: a page for people, Markdown or JSON for other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from toolbox.api.errors import UsageError, closest
from toolbox.files.atomic import json_text
from toolbox.files.outputs import write_output
from toolbox.report import figures, html, markdown, plots
from toolbox.report.document import document
from toolbox.report.inputs import ReportInputs

FORMATS: Mapping[str, Callable[[ReportInputs], str]] = {
    "html": html.render,
    "md": markdown.render,
    "json": lambda inputs: json_text(document(inputs)),
}


def check(format_name: str) -> None:
    """Refuse an unknown format.

    Raises
    ------
    UsageError: no report can be written in it.
    """
    if format_name not in FORMATS:
        raise UsageError(f"Unknown format {format_name!r}.", closest(format_name, FORMATS))


def write(inputs: ReportInputs, path: Path, format_name: str = "html", overwrite: bool = False) -> None:
    """Write the report to ``path``, whole or not at all, and the figures of its runs.

    Raises
    ------
    UsageError: no such format, or see :func:`write_output`.
    EnvironmentFailure: it can't be written; what was there before is then still there.
    """
    check(format_name)
    for run in inputs.runs:
        if run.figures_folder is not None:
            figures.save(plots.of_run(run).all, run.figures_folder)
    write_output(path, FORMATS[format_name](inputs).encode("utf-8"), overwrite)
