"""``toolbox augment``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolbox.cli import options
from toolbox.cli.options import open_workspace

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Experiment")(augment)


def augment(
    factor: Annotated[int | None, typer.Option("--factor", help="Files to write for each training image.")] = None,
    augmenter: options.Augmenter = None,
    size: Annotated[int | None, typer.Option("--size", help="Side of the square copies, pixels.")] = None,
    data: options.Data = None,
    protocol: options.Protocol = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    seed: options.Seed = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    dry_run: options.DryRun = False,
) -> None:
    """Write augmented copies of the training images, and of no others, with their lineage."""
    from toolbox.cli.terminal import Terminal

    terminal = Terminal(as_json, quiet)
    settings = {
        "augment.factor": factor,
        "augment.augmenter": augmenter,
        "augment.size": size,
        "seed": seed,
        "split.protocol": protocol,
    }
    place = open_workspace(workspace, terminal, sets, data, settings, dry_run)
    if dry_run:
        _plan(place, terminal)
    else:
        _run(place, terminal)
    terminal.end(place.quarantined)


def _run(place: Workspace, terminal: Terminal) -> None:
    from rich.markup import escape

    result = place.augment()
    if result.written:
        terminal.show(
            f"Wrote [bold]{result.written:,}[/] copies of {result.sources:,} training images to"
            f" [bold]{escape(str(result.path))}[/] ({result.images_per_second:,.0f} images/s)."
        )
    if result.skipped:
        terminal.show(f"{result.skipped:,} copies were there already, in {escape(str(result.path))}.")
    terminal.emit(
        {
            "path": result.path.relative_to(place.path).as_posix(),
            "sources": result.sources,
            "written": result.written,
            "skipped": result.skipped,
            "quarantined": len(place.quarantined),
            "images_per_second": round(result.images_per_second, 1),
        }
    )


def _plan(place: Workspace, terminal: Terminal) -> None:
    from toolbox.cli.render import duration, gigabytes

    plan = place.plan_augment()
    path = f"augmented/{plan.recipe.name}"
    there = " It is there already." if plan.exists else ""
    terminal.show(
        f"Would write {plan.estimate.files:,} copies to {path}: about {gigabytes(plan.estimate.bytes)},"
        f" {duration(plan.estimate.seconds)}.{there}"
    )
    terminal.emit(
        {
            "dry_run": True,
            "path": path,
            "files": plan.estimate.files,
            "bytes": plan.estimate.bytes,
            "seconds": round(plan.estimate.seconds, 1),
            "exists": plan.exists,
        }
    )
