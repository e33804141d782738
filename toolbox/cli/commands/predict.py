"""``toolbox predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.command import Call, command

app = typer.Typer()


@command(app, options.BATCH_SIZE, options.WORKSPACE, options.DEVICE, options.SETS, options.FORCE, panel="Experiment")
def predict(
    call: Call,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, number or folder.", autocompletion=completion.RUN)
    ],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Image files, folders (searched recursively), or quoted patterns."),
    ],
    table: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE|-", help="Write a CSV table, or print it.", rich_help_panel="Output"),
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="K", min=1, help="The K most likely classes of each image.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N images.")] = None,
) -> None:
    """Predict the class of each image with a trained run."""
    from contextlib import ExitStack

    from toolbox.api.errors import UsageError
    from toolbox.api.progress import tracked
    from toolbox.cli.views import predictions
    from toolbox.data.index import QuarantinedSample
    from toolbox.files.outputs import check_output

    terminal = call.terminal
    if terminal.as_json and table == "-":
        raise UsageError("--json and --csv - both write to stdout", "Give --csv a file, or drop one of them.")
    if table not in (None, "-"):
        check_output(Path(table), call.force)
    predicted = call.open_workspace().predict(run, images, limit=limit)
    unreadable: list[QuarantinedSample] = []
    with ExitStack() as stack:
        # Rows for people are progress enough; a bar among them would break the lines.
        outputs, bar = predictions.outputs(predicted, terminal, stack, table, top)
        results = tracked(predicted, terminal.reporter(), "predicting", len(predicted), "images") if bar else predicted
        for result in results:
            for output in outputs:
                output(result)
            if isinstance(result, QuarantinedSample):
                unreadable.append(result)
    if table not in (None, "-"):
        count = len(predicted)
        terminal.messages.print(f"{count:,} image{'s' * (count != 1)} in {table}", markup=False, soft_wrap=True)
    terminal.end(unreadable, where=predictions.where(terminal.as_json, table))
