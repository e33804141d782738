"""``toolbox predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.options import open_workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Experiment")(predict)


def predict(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, number or folder.", autocompletion=completion.RUN)
    ],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Image files, folders (to any depth), or patterns in quotes."),
    ],
    table: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE|-", help="Write a CSV table, or print it.", rich_help_panel="Output"),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="K", min=1, help="The K likeliest classes of each image.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="The first N images and no more.")
    ] = None,
    force: options.Force = False,
    batch_size: options.BatchSize = None,
    workspace: options.WorkspaceDir = Path(),
    device: options.Device = None,
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Say which class each image belongs to, by a trained run."""
    from contextlib import ExitStack

    from toolbox.api.errors import UsageError
    from toolbox.api.progress import tracked
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views import predictions
    from toolbox.data.index import QuarantinedSample
    from toolbox.files.outputs import check_output

    if as_json and table == "-":
        raise UsageError("--json and --csv - both want stdout", "Give --csv a file, or leave one of them out.")
    if table not in (None, "-"):
        check_output(Path(table), force)
    terminal = Terminal(as_json, quiet)
    place = open_workspace(workspace, terminal, sets, None, {"training.batch_size": batch_size, "device": device})
    found = place.predict(run, images, limit=limit)
    unreadable: list[QuarantinedSample] = []
    with ExitStack() as open_outputs:
        # Rows for people are their own progress; a bar among them would be torn.
        outputs, bar = predictions.outputs(found, terminal, open_outputs, table, top)
        results = tracked(found, terminal.reporter(), "predicting", len(found), "images") if bar else found
        for result in results:
            for output in outputs:
                output.add(result)
            if isinstance(result, QuarantinedSample):
                unreadable.append(result)
    if table not in (None, "-"):
        count = len(found)
        terminal.messages.print(f"{count:,} image{'s' * (count != 1)} in {table}", markup=False, soft_wrap=True)
    terminal.end(unreadable, where=predictions.where(as_json, table))
