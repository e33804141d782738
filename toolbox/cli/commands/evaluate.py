"""``toolbox evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from toolbox.api.errors import UsageError
from toolbox.cli import completion, options
from toolbox.cli.command import Call, command

app = typer.Typer()


@command(app, options.EVALUATOR, options.WORKSPACE, options.DEVICE, options.SETS, panel="Experiment")
def evaluate(
    call: Call,
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="A run's id or number; default: the newest.", autocompletion=completion.RUN
        ),
    ] = "",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="OTHER",
            help="Another dataset with the same classes: an external test.",
            autocompletion=completion.DATA,
        ),
    ] = None,
    clean: Annotated[
        bool,
        typer.Option(
            "--clean", help="Find the leaked images of an older run, and give every metric without them, too."
        ),
    ] = False,
) -> None:
    """Evaluate a run on its test split, or on another dataset."""
    from toolbox.cli.views.runs import evaluation_result

    if clean and data is not None:
        raise UsageError("--clean and --data can't be combined", "An external test shows its leaked images anyway.")
    workspace = call.open_workspace()
    evaluation = workspace.evaluate(run, data=data, clean=clean)
    call.terminal.show(*evaluation_result(evaluation))
    call.terminal.emit(evaluation.document())
    call.terminal.end(workspace.quarantined)
