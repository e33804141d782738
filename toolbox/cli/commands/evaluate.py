"""``toolbox evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.options import open_workspace
from toolbox.cli.views.component_help import EPILOG, Command


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(cls=Command, epilog=EPILOG, rich_help_panel="Experiment")(evaluate)


def evaluate(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="A run's id or number; the newest without one.", autocompletion=completion.RUN
        ),
    ] = "",
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="OTHER",
            help="Another dataset with the same classes: an external test.",
            autocompletion=completion.DATA,
        ),
    ] = None,
    evaluator: options.Evaluator = None,
    workspace: options.WorkspaceDir = Path(),
    device: options.Device = None,
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Evaluate a run on its test split, or on another dataset."""
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import evaluation_result

    terminal = Terminal(as_json, quiet)
    place = open_workspace(workspace, terminal, sets, None, {"device": device}, evaluators=evaluator)
    evaluation = place.evaluate(run, data=data)
    terminal.show(*evaluation_result(evaluation))
    terminal.emit(evaluation.document())
    terminal.end(place.quarantined)
