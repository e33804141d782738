"""``toolbox export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.options import open_workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Experiment")(export)


def export(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, number or folder.", autocompletion=completion.RUN)
    ],
    form: Annotated[
        str, typer.Option("--format", metavar="safetensors|torch-export|onnx", help="What kind of file.")
    ] = "safetensors",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to; without it, the run's folder.", rich_help_panel="Output"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there.", rich_help_panel="Output")
    ] = False,
    workspace: options.WorkspaceDir = Path(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a run's model as one file for use elsewhere, checked against the model itself."""
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import gigabytes

    terminal = Terminal(as_json, quiet)
    done = open_workspace(workspace, terminal).export(run, form, out, overwrite=force)
    verdict = (
        "every tensor read back the same"
        if done.bound == 0
        else f"logits differ from the module's by at most {done.difference:.1e} (allowed: {done.bound:.1e})"
    )
    terminal.show(
        Text(f"{done.path} ({gigabytes(done.bytes)}): {verdict}"), Text(f"Input: {done.description['input']}")
    )
    terminal.emit(
        {
            "run": done.run,
            "format": done.format,
            "path": str(done.path),
            "bytes": done.bytes,
            "difference": done.difference,
            "bound": done.bound,
            "description": dict(done.description),
        }
    )
