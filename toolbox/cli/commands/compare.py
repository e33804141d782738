"""``toolbox compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.command import Call, command

app = typer.Typer()


@command(app, options.WORKSPACE, panel="Experiment")
def compare(
    call: Call,
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN_A RUN_B [RUN]...", help="Runs by id or number.", autocompletion=completion.RUN),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The metric that decides (accuracy); repeat it to show others too."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(metavar="POINTS", help="Also test whether a run is at most so many points worse; 0: don't."),
    ] = 0.0,
) -> None:
    """Compare runs on the same test images: paired tests, intervals of the difference, and a verdict.

    Of more than two runs, those that differ only in the seed form an arm; arms are compared by pairs of seeds.
    """
    from toolbox.cli.views.comparison import comparison_result

    result = call.open_workspace().compare(runs, metric or (), margin)
    call.terminal.show(*comparison_result(result))
    call.terminal.emit(result.document())
