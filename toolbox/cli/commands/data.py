"""``toolbox data``: look at a dataset, split it, and audit the split for leaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolbox.api.errors import EXIT_REFUSED, UsageError
from toolbox.cli import options
from toolbox.cli.options import DATA, open_workspace

if TYPE_CHECKING:
    from toolbox.data.workspace_manifest import SplitDataset

data = typer.Typer(help="Look at a dataset, split it, and look for leaks.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(data, name="data", rich_help_panel="Begin")


@data.command()
def prepare(
    data: options.Data = None,
    size: Annotated[int, typer.Option("--size", help="Side of the square images, pixels.")] = 64,
    channels: Annotated[str, typer.Option("--channels", metavar="1|3|keep", help="Grey, RGB, or as it is.")] = "keep",
    file_format: Annotated[str, typer.Option("--format", metavar="png|jpeg", help="png keeps every pixel.")] = "png",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The new folder; else one in DIR/prepared.")
    ] = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    dry_run: options.DryRun = False,
) -> None:
    """Resize every image (the whole of it, squashed), make it grey if asked, and save it to a new folder.

    The folder has a manifest.csv with each image's source, group, split and the columns of your own, to be given
    as --data.
    """
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import prepared_lines
    from toolbox.data.prepare import run as preparing

    terminal = Terminal(as_json, quiet)
    place = open_workspace(workspace, terminal, sets, data, dry_run=dry_run)
    todo = place.plan_prepare(size, channels, file_format, out)
    done = None if dry_run else preparing.write_folder(todo, terminal.reporter())
    document = preparing.document(todo, done)
    terminal.show(*prepared_lines(document))
    terminal.emit(document)
    terminal.end(place.quarantined)


@data.command()
def inspect(
    data: options.Data = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Draw classes and samples: .png or .svg."),
    ] = None,
    samples: Annotated[bool, typer.Option("--samples", help="Name random samples of each class.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples that are shown.")] = 0,
    force: options.Force = False,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Count images by class and split, their sizes and modes, and the files that can't be read."""
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import inspection, sample_names
    from toolbox.data import index
    from toolbox.data import inspect as inspecting
    from toolbox.report import sheets

    terminal = Terminal(as_json, quiet)
    reporter = terminal.reporter()
    place = open_workspace(workspace, terminal, sets, data)
    if picture is not None:
        sheets.check(picture, place.source, overwrite=force)
    found = index.build_index(place.source, reporter)
    kept = inspecting.load_workspace_split(place.path, place.source, found.manifest.rows, reporter)
    document = inspecting.summarize(found, place.source, kept)
    terminal.show(*inspection(document))
    chosen = inspecting.draw_samples(found.manifest, seed)
    if samples:
        terminal.show(*sample_names(chosen))
    if picture is not None:
        sheet = sheets.of_inspection(document, sheets.samples(chosen, place.source))
        sheets.write(sheet, picture, overwrite=force)
        reporter.info(f"Wrote {picture}")
        document["picture"] = str(picture)
    terminal.emit(document)
    terminal.end(found.quarantined)


@data.command()
def split(
    data: options.Data = None,
    test: options.Test = None,
    val: options.Val = None,
    group_by: options.GroupBy = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the split.")] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", help="Cross-validation: deal into so many folds.", rich_help_panel=DATA)
    ] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", help="The fold that is held out, from 0.", rich_help_panel=DATA)
    ] = None,
    extend: Annotated[
        str | None,
        typer.Option(
            "--extend", metavar="OLD.csv", help="Keep every assignment of an older manifest.", rich_help_panel=DATA
        ),
    ] = None,
    drop_leaks: Annotated[
        bool,
        typer.Option("--drop-leaks", help="Take the training side of every leak out.", rich_help_panel=DATA),
    ] = False,
    group_duplicates: Annotated[
        bool,
        typer.Option("--group-duplicates", help="Deal an image and its near-duplicates as one.", rich_help_panel=DATA),
    ] = False,
    protocol: options.Protocol = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    dry_run: options.DryRun = False,
) -> None:
    """Deal the images into training, validation and test, and write manifest.csv."""
    from rich.markup import escape

    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import split_result
    from toolbox.data import manifest
    from toolbox.data.audit import gate

    if drop_leaks and group_duplicates:
        raise UsageError("--drop-leaks and --group-duplicates are two ways to resolve the same leaks", "Give one.")
    terminal = Terminal(as_json, quiet)
    settings = {
        "split.test": test,
        "split.val": val,
        "split.group_by": group_by,
        "split.seed": seed,
        "split.folds": folds,
        "split.fold": fold,
        "split.extend": extend,
        "split.duplicates": "drop" if drop_leaks else "group" if group_duplicates else None,
        "split.protocol": protocol,
    }
    place = open_workspace(workspace, terminal, sets, data, settings, dry_run, resplit=True)
    prepared = place.prepared
    path = place.path / manifest.FILE_NAME
    written = "Would write" if dry_run else "Split kept in"
    terminal.show(*split_result(prepared), f"{written} [bold]{escape(str(path))}[/].")
    leaks = place.known_leaks
    if leaks.leaks and prepared.settings.protocol == "split-then-augment":
        place.reporter.warn(f"{gate.describe_leaks(leaks)}; 'toolbox data audit' shows them")
    terminal.emit(_document(prepared, path))
    terminal.end(prepared.quarantined)


@data.command()
def audit(
    data: options.Data = None,
    canary: Annotated[
        bool,
        typer.Option(
            "--canary", help="Shuffle the labels by group, and see what a split that divides groups makes of it."
        ),
    ] = False,
    canary_model: Annotated[
        str, typer.Option("--canary-model", metavar="SPEC", help="The small model that the canary trains.")
    ] = "alzheimer-cnn",
    force: options.Force = False,
    workspace: options.WorkspaceDir = Path(),
    epochs: Annotated[int, typer.Option("--canary-epochs", help="Epochs of each of its trainings.")] = 30,
    device: options.Device = None,
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Look for the same picture twice, divided groups and stray copies; exit code 4 if a leak crosses the splits."""
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import audit_result, canary_result
    from toolbox.data.audit import PAGE_NAME

    terminal = Terminal(as_json, quiet)
    place = open_workspace(workspace, terminal, sets, data, {"device": device})
    if canary:
        sung = place.canary(canary_model, epochs)
        terminal.show(*canary_result(sung))
        terminal.emit(sung.document())
        terminal.end(place.quarantined)
        return
    found = place.run_audit(overwrite=force)
    terminal.show(*audit_result(found, place.path / PAGE_NAME))
    terminal.emit({**found.document(), "page": str(place.path / PAGE_NAME)})
    if found.leaks:
        raise typer.Exit(EXIT_REFUSED)
    terminal.end(place.quarantined)


def _document(prepared: SplitDataset, path: Path) -> dict[str, object]:
    found = prepared.manifest
    return {
        "path": str(path),
        "samples": len(found.rows),
        "counts": found.counts(),
        "groups": len({row.group for row in found.rows if row.group}),
        "fingerprint": found.fingerprint,
        "dropped": dict(prepared.dropped),
        "quarantined": len(prepared.quarantined),
    }
