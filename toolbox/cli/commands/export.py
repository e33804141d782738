"""``toolbox export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.command import Call, command

app = typer.Typer()


@command(app, options.WORKSPACE, panel="Experiment")
def export(
    call: Call,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, number or folder.", autocompletion=completion.RUN)
    ],
    file_format: Annotated[
        str, typer.Option("--format", metavar="safetensors|torch-export|onnx", help="File format.")
    ] = "safetensors",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; default: in the run's folder.", rich_help_panel="Output"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.", rich_help_panel="Output")] = False,
) -> None:
    """Write a run's model as one file for use elsewhere, checked against the model itself."""
    from toolbox.cli.views.export import export_lines

    exported = call.open_workspace().export(run, file_format, out, overwrite=force)
    call.terminal.show(*export_lines(exported))
    call.terminal.emit(exported)
