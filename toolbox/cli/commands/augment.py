"""``toolbox augment``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolbox.api.errors import EXIT_FAILED, UsageError
from toolbox.cli import options
from toolbox.cli.options import open_workspace
from toolbox.cli.views.component_help import EPILOG, Command

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(cls=Command, epilog=EPILOG, rich_help_panel="Experiment")(augment)


def augment(
    factor: Annotated[int | None, typer.Option("--factor", help="Files to write for each training image.")] = None,
    augmenter: options.Augmenter = None,
    size: Annotated[int | None, typer.Option("--size", help="Side of the square copies, pixels.")] = None,
    image_format: Annotated[str | None, typer.Option("--format", metavar="jpeg|png|webp", help="File format.")] = None,
    quality: Annotated[int | None, typer.Option("--quality", help="JPEG and WebP quality, 1 to 100.")] = None,
    balance: Annotated[
        bool | None, typer.Option("--balance", help="Even the classes out: more copies for smaller ones.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Another folder than augmented/NAME.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; 0: one for each core.")] = None,
    preview: Annotated[
        int | None, typer.Option("--preview", metavar="N", help="Only draw N sources and copies to a picture.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Where the preview goes (.png or .svg).")
    ] = None,
    force: options.Force = False,
    verify: Annotated[bool, typer.Option("--verify", help="Only check a set against its lineage.")] = False,
    replay: Annotated[
        Path | None, typer.Option("--replay", metavar="LINEAGE", help="Make every file of a lineage.jsonl again.")
    ] = None,
    name: Annotated[str, typer.Argument(metavar="[SET]", help="With --verify: the set, if there are several.")] = "",
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
        "augment.format": image_format,
        "augment.quality": quality,
        "augment.balance": balance,
        "augment.workers": workers,
        "seed": seed,
        "split.protocol": protocol,
    }
    if name and not verify:
        raise UsageError(f"augment takes no argument {name!r}", "A set is named with --verify alone.")
    read_only = dry_run or preview is not None or verify or replay is not None
    place = open_workspace(workspace, terminal, sets, data, settings, read_only)
    if verify:
        _verify(place, terminal, name)
    elif replay is not None:
        _replay(place, terminal, replay, out)
    elif preview is not None:
        _preview(place, terminal, preview, picture, force)
    elif dry_run:
        _plan(place, terminal)
    else:
        _run(place, terminal, out)
    terminal.end(place.quarantined)


def _preview(place: Workspace, terminal: Terminal, count: int, picture: Path | None, force: bool) -> None:
    if not 1 <= count <= 50:
        raise UsageError(f"--preview {count}: draw 1 to 50 sources")
    path = place.preview(count, picture, overwrite=force)
    terminal.show(f"Preview: {path}")
    terminal.emit({"picture": str(path)})


def _verify(place: Workspace, terminal: Terminal, name: str) -> None:
    from rich.text import Text

    found = place.verify(name)
    for what, paths in (("missing", found.missing), ("changed", found.changed), ("extra", found.extra)):
        for path in paths[:5]:
            terminal.show(Text(f"{what}: {path}", "yellow"))
    terminal.show(
        f"{found.files:,} files in the lineage: {len(found.missing):,} missing, {len(found.changed):,} changed,"
        f" {len(found.extra):,} not in it."
    )
    terminal.emit(
        {
            "path": str(found.path),
            "clean": found.clean,
            "files": found.files,
            "missing": list(found.missing),
            "changed": list(found.changed),
            "extra": list(found.extra),
        }
    )
    if not found.clean:
        raise typer.Exit(EXIT_FAILED)


def _replay(place: Workspace, terminal: Terminal, lineage: Path, out: Path | None) -> None:
    made = place.replay(lineage, out)
    terminal.show(
        f"Made {made.written:,} files again in {made.path}: {len(made.different):,} differ from the lineage,"
        f" {len(made.lost):,} have no source in the data."
    )
    terminal.emit(
        {
            "path": str(made.path),
            "written": made.written,
            "different": list(made.different),
            "lost": list(made.lost),
        }
    )
    if made.different or made.lost:
        raise typer.Exit(EXIT_FAILED)


def _run(place: Workspace, terminal: Terminal, out: Path | None) -> None:
    from rich.markup import escape

    result = place.augment(out)
    if result.written:
        terminal.show(
            f"Wrote [bold]{result.written:,}[/] copies of {result.sources:,} training images to"
            f" [bold]{escape(str(result.path))}[/] ({result.images_per_second:,.0f} images/s).",
            f"Classes before and after: {escape(str(result.path))}-classes.png",
        )
    if result.skipped:
        terminal.show(f"{result.skipped:,} copies were there already, in {escape(str(result.path))}.")
    terminal.emit(
        {
            "path": result.path.as_posix() if out else result.path.relative_to(place.path).as_posix(),
            "sources": result.sources,
            "written": result.written,
            "skipped": result.skipped,
            "quarantined": len(place.quarantined),
            "images_per_second": round(result.images_per_second, 1),
        }
    )


def _plan(place: Workspace, terminal: Terminal) -> None:
    from toolbox.cli.views.render import duration, gigabytes

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
