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
    workspace: options.WorkspaceDir = Path(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Write one HTML file on the runs, and print their results as a table."""
    from rich.markup import escape

    from toolbox.cli.render import runs_table
    from toolbox.cli.terminal import Terminal

    terminal = Terminal(as_json, quiet)
    place = open_workspace(workspace, terminal)
    chosen = place.chosen_runs(runs or ())
    path = place.report(runs or (), output)
    terminal.show(*runs_table(chosen), f"Report: [bold]{escape(str(path))}[/]")
    terminal.emit({"path": str(path), "runs": [run.evaluation for run in chosen]})
