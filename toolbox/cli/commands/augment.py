"""``toolbox augment``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolbox.api.errors import EXIT_FAILED, UsageError
from toolbox.cli import options
from toolbox.cli.command import Call, command
from toolbox.cli.options import setting

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.workspace import Workspace

app = typer.Typer()


@command(
    app,
    setting("augment.factor", "--factor"),
    options.AUGMENTER,
    setting("augment.size", "--size"),
    setting("augment.format", "--format"),
    setting("augment.quality", "--quality"),
    setting("augment.balance", "--balance", constant=True),
    setting("augment.workers", "--workers"),
    *options.DATASET,
    options.PROTOCOL,
    options.SEED,
    options.FORCE,
    options.DRY_RUN,
    panel="Experiment",
)
def augment(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="[SET]", help="With --verify: the set, if there are several.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write here instead of augmented/NAME.")] = None,
    preview: Annotated[
        int | None, typer.Option(metavar="N", help="Only draw N training images and their copies.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="File of the preview (.png or .svg).")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only check a set against its lineage.")] = False,
    replay: Annotated[
        Path | None, typer.Option(metavar="LINEAGE", help="Write every file of a lineage.jsonl again.")
    ] = None,
) -> None:
    """Write augmented copies of the training images, and of no others, with their lineage."""
    if name and not verify:
        raise UsageError(f"unexpected argument {name!r}", "A set is named with --verify only.")
    terminal = call.terminal
    workspace = call.open_workspace()
    if verify:
        _verify(workspace, terminal, name)
    elif replay is not None:
        _replay(workspace, terminal, replay, out)
    elif preview is not None:
        if not 1 <= preview <= 50:
            raise UsageError(f"--preview {preview} is out of range", "Draw 1 to 50 images.")
        path = workspace.preview(preview, picture, overwrite=call.force)
        terminal.show(f"Preview: {path}")
        terminal.emit({"picture": str(path)})
    elif call.dry_run:
        _plan(workspace, terminal)
    else:
        _augment(workspace, terminal, out)
    terminal.end(workspace.quarantined)


def _verify(workspace: Workspace, terminal: Terminal, name: str) -> None:
    from toolbox.cli.views.augment import verified_lines

    verified = workspace.verify(name)
    terminal.show(*verified_lines(verified))
    terminal.emit(verified, clean=verified.clean)
    if not verified.clean:
        raise typer.Exit(EXIT_FAILED)


def _replay(workspace: Workspace, terminal: Terminal, lineage: Path, out: Path | None) -> None:
    from toolbox.cli.views.augment import replayed_line

    replayed = workspace.replay(lineage, out)
    terminal.show(replayed_line(replayed))
    terminal.emit(replayed)
    if replayed.different or replayed.lost:
        raise typer.Exit(EXIT_FAILED)


def _augment(workspace: Workspace, terminal: Terminal, out: Path | None) -> None:
    from toolbox.cli.views.augment import result_lines

    result = workspace.augment(out)
    terminal.show(*result_lines(result))
    terminal.emit(
        {
            "path": result.path.as_posix() if out else result.path.relative_to(workspace.path).as_posix(),
            "sources": result.sources,
            "written": result.written,
            "skipped": result.skipped,
            "quarantined": len(workspace.quarantined),
            "images_per_second": round(result.images_per_second, 1),
        }
    )


def _plan(workspace: Workspace, terminal: Terminal) -> None:
    from toolbox.cli.views.augment import plan_line

    plan = workspace.plan_augment()
    path = f"augmented/{plan.recipe.name}"
    terminal.show(plan_line(plan, path))
    terminal.emit(
        {
            "dry_run": True,
            "path": path,
            "files": plan.files,
            "bytes": plan.bytes,
            "seconds": round(plan.seconds, 1),
            "exists": plan.exists,
        }
    )
