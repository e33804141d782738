"""``toolbox init``."""

from __future__ import annotations

from typing import Annotated

import typer

from toolbox.cli import completion, options
from toolbox.cli.command import Call, command

app = typer.Typer()

_NEXT = (
    ("data", "inspect"),
    ("data", "split"),
    ("data", "audit"),
    ("augment", "--factor", 5),
    ("finetune", "efficientnet-lite0", "--unfreeze-last"),
)


@command(app, options.WORKSPACE, panel="Begin")
def init(
    call: Call,
    path: Annotated[
        str,
        typer.Argument(
            metavar="[PATH]", help="Your dataset: a folder, a manifest, or a spec.", autocompletion=completion.DATA
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing toolbox.toml.")] = False,
) -> None:
    """Write a toolbox.toml for a dataset, so that later commands need no options."""
    from rich.markup import escape

    from toolbox.data.source import open_source
    from toolbox.files.command_line import command_line
    from toolbox.plugin.registry import Registry
    from toolbox.settings.template import write_settings_file

    data = path or "phantom"
    registry = Registry()
    call.warn_of_broken_plugins(registry)
    samples = sum(not sample.problem for sample in open_source(data, registry).samples())
    file = write_settings_file(call.folder, data, force)
    if not path:
        call.terminal.reporter().warn(
            "no PATH given: this workspace uses the embedded dataset; for yours: toolbox init FOLDER --force"
        )
    call.terminal.show(
        f"Wrote [bold]{escape(str(file))}[/] for {escape(data)} ({samples:,} images). Next:",
        *(f"  {escape(command_line(*words, workspace=call.folder))}" for words in _NEXT),
    )
    call.terminal.emit({"path": str(file), "data": data, "samples": samples})
