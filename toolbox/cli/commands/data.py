"""``toolbox data``: look at a dataset, and split it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolbox.cli import options
from toolbox.cli.options import open_workspace

if TYPE_CHECKING:
    from toolbox.data.manifest import Manifest

data = typer.Typer(help="Look at a dataset, and split it.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(data, name="data", rich_help_panel="Begin")


@data.command()
def inspect(
    data: options.Data = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Count images by class and split, their sizes and modes, and the files that can't be read."""
    from toolbox.cli.render import inspection
    from toolbox.cli.terminal import Terminal
    from toolbox.data import index
    from toolbox.data.inspect import summary

    terminal = Terminal(as_json, quiet)
    place = open_workspace(workspace, terminal, sets, data)
    found = index.build(place.source, terminal.reporter())
    document = summary(found, place.source)
    terminal.show(*inspection(document))
    terminal.emit(document)
    terminal.end(found.quarantined)


@data.command()
def split(
    data: options.Data = None,
    test: options.Test = None,
    val: options.Val = None,
    group_by: options.GroupBy = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the split.")] = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    dry_run: options.DryRun = False,
) -> None:
    """Deal the images into training, validation and test, and write manifest.csv."""
    from rich.markup import escape

    from toolbox.cli.render import counts_table
    from toolbox.cli.terminal import Terminal
    from toolbox.data import manifest

    terminal = Terminal(as_json, quiet)
    settings = {"split.test": test, "split.val": val, "split.group_by": group_by, "split.seed": seed}
    place = open_workspace(workspace, terminal, sets, data, settings, dry_run, redeal=True)
    prepared = place.prepared
    path = place.path / manifest.FILE_NAME
    written = "Would write" if dry_run else "Split kept in"
    terminal.show(counts_table(prepared.manifest.counts()), f"{written} [bold]{escape(str(path))}[/].")
    terminal.emit(_document(prepared.manifest, path, len(prepared.quarantined)))
    terminal.end(prepared.quarantined)


def _document(found: Manifest, path: Path, quarantined: int) -> dict[str, object]:
    return {
        "path": str(path),
        "samples": len(found.rows),
        "counts": found.counts(),
        "fingerprint": found.fingerprint,
        "quarantined": quarantined,
    }
