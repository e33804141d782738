"""``toolbox init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import completion
from toolbox.cli.options import AsJson, Quiet, WorkspaceDir


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Begin")(init)


def init(
    path: Annotated[
        str,
        typer.Argument(
            metavar="[PATH]", help="Your dataset: a folder, a manifest, or a spec.", autocompletion=completion.DATA
        ),
    ] = "",
    workspace: WorkspaceDir = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over a toolbox.toml that is there.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a toolbox.toml for a dataset, so that later commands need no options."""
    from rich.markup import escape

    from toolbox.cli.faults import mention_faults
    from toolbox.cli.terminal import Terminal
    from toolbox.data.source import open_source
    from toolbox.plugin.registry import Registry
    from toolbox.workspace import init as write

    terminal = Terminal(as_json, quiet)
    data = path or "phantom"
    registry = Registry()
    mention_faults(registry, terminal.reporter().warn)
    samples = sum(not sample.problem for sample in open_source(data, registry).dataset.samples())
    file = write(workspace, data, force)
    if not path:
        terminal.reporter().warn(
            "no PATH: this workspace is for the embedded dataset; yours: toolbox init FOLDER --force"
        )
    terminal.show(
        f"Wrote [bold]{escape(str(file))}[/] for {escape(data)} ({samples:,} images). Next:",
        "  toolbox data inspect",
        "  toolbox augment --factor 5",
        "  toolbox finetune efficientnet-lite0 --unfreeze-last",
    )
    terminal.emit({"path": str(file), "data": data, "samples": samples})
