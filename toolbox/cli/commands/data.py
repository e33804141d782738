"""``toolbox data``: look at a dataset, split it, and audit the split for leaks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.api.errors import EXIT_REFUSED
from toolbox.cli import options
from toolbox.cli.command import Call, command
from toolbox.cli.options import setting

app = typer.Typer(help="Inspect a dataset, split it, and look for leaks.", no_args_is_help=True)

_QUARANTINE = "quarantine.csv, which 'toolbox data split' writes"


@command(app, *options.DATASET, options.DRY_RUN)
def prepare(
    call: Call,
    size: Annotated[int, typer.Option(help="Side of the square images, pixels.")] = 64,
    channels: Annotated[str, typer.Option(metavar="1|3|keep", help="Gray, RGB, or unchanged.")] = "keep",
    file_format: Annotated[str, typer.Option("--format", metavar="png|jpeg", help="png is lossless.")] = "png",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The new folder; default: one in prepared/.")] = None,
) -> None:
    """Resize every image without cropping, convert it to gray if asked, and save it to a new folder.

    The folder has a manifest.csv with each image's source, group, split and your own columns; pass it as --data.
    """
    from toolbox.cli.views.data import prepared_lines
    from toolbox.data.prepare import run

    workspace = call.open_workspace()
    plan = workspace.plan_prepare(size, channels, file_format, out)
    result = None if call.dry_run else run.write_folder(plan, call.terminal.reporter())
    document = run.document(plan, result)
    call.terminal.show(*prepared_lines(document))
    call.terminal.emit(document)
    call.terminal.end(workspace.quarantined)


@command(app, *options.DATASET, options.FORCE)
def inspect(
    call: Call,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw classes and samples to a .png or .svg file.")
    ] = None,
    samples: Annotated[bool, typer.Option("--samples", help="Name random samples of each class.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the samples shown.")] = 0,
) -> None:
    """Count images by class and split, their sizes and modes, and the files that can't be read."""
    from toolbox.cli.views.data import inspection, sample_names
    from toolbox.data import index
    from toolbox.data import inspect as inspecting
    from toolbox.report import sheets

    terminal, workspace = call.terminal, call.open_workspace()
    reporter = terminal.reporter()
    if picture is not None:
        sheets.check(picture, workspace.source, overwrite=call.force)
    indexed = index.build_index(workspace.source, reporter)
    workspace_split = inspecting.load_workspace_split(workspace.path, workspace.source, indexed.manifest.rows, reporter)
    document = inspecting.summarize(indexed, workspace.source, workspace_split)
    terminal.show(*inspection(document))
    drawn = inspecting.draw_samples(indexed.manifest, seed)
    if samples:
        terminal.show(*sample_names(drawn))
    if picture is not None:
        sheet = sheets.of_inspection(document, sheets.samples(drawn, workspace.source))
        sheets.write(sheet, picture, overwrite=call.force)
        reporter.info(f"Wrote {picture}")
        document["picture"] = str(picture)
    terminal.emit(document)
    terminal.end(indexed.quarantined, where=_QUARANTINE)


@command(
    app,
    *options.DATASET,
    setting("split.test", "--test"),
    setting("split.val", "--val"),
    setting("split.group_by", "--group-by"),
    setting("split.seed", "--seed"),
    setting("split.folds", "--folds"),
    setting("split.fold", "--fold"),
    setting("split.extend", "--extend"),
    setting("split.duplicates", "--drop-leaks", constant="drop", help="drop the training side of every leak"),
    setting("split.duplicates", "--group-duplicates", constant="group", help="keep near-duplicates in one split"),
    options.PROTOCOL,
    options.DRY_RUN,
)
def split(call: Call) -> None:
    """Split the images into training, validation and test, and write manifest.csv."""
    from rich.markup import escape

    from toolbox.cli.views.data import split_result
    from toolbox.data import manifest
    from toolbox.data.audit import gate
    from toolbox.data.audit.findings import audit_manifest

    workspace, terminal = call.open_workspace(resplit=True), call.terminal
    dataset = workspace.split if call.dry_run else workspace.save_split()
    path = workspace.path / manifest.FILE_NAME
    written = "Would write" if call.dry_run else "Wrote"
    terminal.show(*split_result(dataset), f"{written} [bold]{escape(str(path))}[/].")
    leaks = audit_manifest(dataset.manifest, None)
    if leaks.leaks and dataset.settings.protocol == "split-then-augment":
        terminal.reporter().warn(f"{gate.describe_leaks(leaks)}; 'toolbox data audit' shows them")
    rows = dataset.manifest.rows
    terminal.emit(
        {
            "path": str(path),
            "samples": len(rows),
            "counts": dataset.manifest.counts(),
            "groups": len({row.group for row in rows if row.group}),
            "fingerprint": dataset.manifest.fingerprint,
            "dropped": dict(dataset.dropped),
            "quarantined": len(dataset.quarantined),
        }
    )
    terminal.end(dataset.quarantined)


@command(app, *options.DATASET, options.DEVICE, options.FORCE)
def audit(
    call: Call,
    canary: Annotated[
        bool,
        typer.Option("--canary", help="Train on labels shuffled by group, to measure what dividing groups adds."),
    ] = False,
    canary_model: Annotated[
        str, typer.Option(metavar="SPEC", help="The small model that the canary trains.")
    ] = "alzheimer-cnn",
    canary_epochs: Annotated[int, typer.Option(help="Epochs of each of its trainings.")] = 30,
) -> None:
    """Look for repeated pictures, divided groups and stray copies; exit code 4 if a leak crosses the splits."""
    from toolbox.cli.views.data import audit_result, canary_result
    from toolbox.data.audit import PAGE_NAME

    workspace, terminal = call.open_workspace(), call.terminal
    if canary:
        result = workspace.canary(canary_model, canary_epochs)
        terminal.show(*canary_result(result))
        terminal.emit(result.document())
    else:
        report, page = workspace.save_audit(overwrite=call.force), workspace.path / PAGE_NAME
        terminal.show(*audit_result(report, page))
        terminal.emit({**report.document(), "page": str(page)})
        if report.leaks:
            raise typer.Exit(EXIT_REFUSED)
    terminal.end(workspace.quarantined, where=_QUARANTINE)
