"""``toolbox compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.options import open_workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Experiment")(compare)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN_A RUN_B [RUN]...", help="Runs by id or number.", autocompletion=completion.RUN),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="What decides (accuracy); repeated, the others are shown too."),
    ] = None,
    workspace: options.WorkspaceDir = Path(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare runs on the same test images: paired tests, intervals of the difference, and a verdict.

    Of more than two runs, those that differ in the seed alone form an arm; arms are compared by pairs of seeds.
    """
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.comparison import comparison_result

    terminal = Terminal(as_json, quiet)
    document = open_workspace(workspace, terminal).compare(runs, metric or ())
    terminal.show(*comparison_result(document))
    terminal.emit(document)
