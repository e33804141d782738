"""The report in the form that was asked for: a page for people, Markdown or JSON for other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from toolbox.api.errors import UsageError, closest
from toolbox.files.atomic import json_text
from toolbox.files.outputs import write_output
from toolbox.report import html, markdown
from toolbox.report.document import document
from toolbox.report.inputs import ReportInputs

FORMS: Mapping[str, Callable[[ReportInputs], str]] = {
    "html": html.render,
    "md": markdown.render,
    "json": lambda inputs: json_text(document(inputs)),
}


def known(form: str) -> str:
    """``form``, if a report can be written in it.

    Raises
    ------
    UsageError: it can't.
    """
    if form not in FORMS:
        raise UsageError(f"a report can't be written as {form!r}", closest(form, FORMS))
    return form


def write(inputs: ReportInputs, path: Path, form: str = "html", overwrite: bool = False) -> None:
    """Write the report to ``path``, whole or not at all.

    Raises
    ------
    UsageError: no such form, or see :func:`write_output`.
    EnvironmentFailure: it can't be written; what was there before is then still there.
    """
    write_output(path, FORMS[known(form)](inputs).encode("utf-8"), overwrite)
