"""``toolbox report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.command import Call, command

app = typer.Typer()


@command(app, options.WORKSPACE, options.FORCE, panel="Experiment")
def report(
    call: Call,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Runs by id or number; default: all.", autocompletion=completion.RUN),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")] = None,
    file_format: Annotated[
        str, typer.Option("--format", metavar="html|md|json", help="md and json are for other programs.")
    ] = "html",
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Leave out all pictures of the data, for reports you share.")
    ] = False,
) -> None:
    """Write one HTML file about the runs, and print their results with a verdict."""
    from rich.text import Text

    from toolbox.cli.views.runs import report_result
    from toolbox.report import formats
    from toolbox.report.document import document
    from toolbox.runs.folder import find_runs

    terminal, workspace = call.terminal, call.open_workspace()
    formats.check(file_format)
    inputs = workspace.report_inputs(runs or (), output, images=not no_images)
    path = workspace.write_report(inputs, output, file_format, overwrite=call.force)
    terminal.show(*report_result(inputs, terminal.results.width), Text(f"Report: {path}", "bold"))
    if terminal.as_json:
        evaluations = [run.evaluation.document() for run in find_runs(workspace.path, runs or ())]
        parts = {name: document(inputs)[name] for name in ("summary", "comparisons", "refused")}
        terminal.emit({"path": str(path), "runs": evaluations, **parts})
