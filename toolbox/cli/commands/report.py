"""``toolbox report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.options import open_workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Experiment")(report)


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="Ids or numbers of runs; all of them without any.", autocompletion=completion.RUN
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="html|md|json", help="md and json are for other programs.")
    ] = "html",
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Leave out all pictures of the data, for reports you share.")
    ] = False,
    force: options.Force = False,
    workspace: options.WorkspaceDir = Path(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Write one HTML file on the runs, and print their results with a verdict."""
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import report_result
    from toolbox.report import formats
    from toolbox.report.document import document

    terminal = Terminal(as_json, quiet)
    place = open_workspace(workspace, terminal)
    formats.check(form)
    inputs = place.report_inputs(runs or (), output, images=not no_images)
    path = place.write_report(inputs, output, form, overwrite=force)
    terminal.show(*report_result(inputs, terminal.results.width), Text(f"Report: {path}", "bold"))
    evaluations = [run.evaluation for run in place.chosen_runs(runs or ())]
    told = {name: document(inputs)[name] for name in ("summary", "comparisons", "refused")} if as_json else {}
    terminal.emit({"path": str(path), "runs": evaluations, **told})
