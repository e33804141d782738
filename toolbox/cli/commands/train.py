"""``toolbox train`` and ``toolbox finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolbox.cli import options
from toolbox.cli.options import every_stage, open_workspace

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.workspace import Workspace

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Model component spec; see 'toolbox list models'.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command(rich_help_panel="Experiment")(train)
    app.command(rich_help_panel="Experiment")(finetune)


def train(
    model: Model,
    data: options.Data = None,
    workspace: options.WorkspaceDir = Path(),
    train_on: options.TrainOn = None,
    protocol: options.Protocol = None,
    allow_leaks: options.AllowLeaks = False,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    lr: options.LearningRate = None,
    size: options.Size = None,
    device: options.Device = None,
    sets: options.Sets = None,
    seed: options.Seed = None,
    augmenter: options.Augmenter = None,
    evaluator: options.Evaluator = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    dry_run: options.DryRun = False,
) -> None:
    """Train a model from scratch, evaluate it on the test split, and keep the run."""
    from toolbox.cli.terminal import Terminal

    terminal = Terminal(as_json, quiet)
    settings = {
        **every_stage(epochs),
        "training.train_on": train_on,
        "split.protocol": protocol,
        "audit.allow_leaks": allow_leaks or None,
        "training.batch_size": batch_size,
        "training.lr": lr,
        "training.size": size,
        "device": device,
        "seed": seed,
        "augment.augmenter": augmenter,
        "evaluators": evaluator or None,
    }
    place = open_workspace(workspace, terminal, sets, data, settings, dry_run)
    _go(place, terminal, model, finetune=False, unfreeze_last=False, dry_run=dry_run)


def finetune(
    model: Model,
    unfreeze_last: Annotated[
        bool,
        typer.Option("--unfreeze-last", help="After the head, train the last block too.", rich_help_panel="Training"),
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", metavar="FILE", help="Start from these (.safetensors, .pth).", rich_help_panel="Training"
        ),
    ] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option(
            "--pretrained/--no-pretrained", help="Start from the model's own weights.", rich_help_panel="Training"
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="linear|flatten-N", help="The new head.", rich_help_panel="Training"),
    ] = None,
    data: options.Data = None,
    workspace: options.WorkspaceDir = Path(),
    train_on: options.TrainOn = None,
    protocol: options.Protocol = None,
    allow_leaks: options.AllowLeaks = False,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    size: options.Size = None,
    device: options.Device = None,
    sets: options.Sets = None,
    seed: options.Seed = None,
    augmenter: options.Augmenter = None,
    evaluator: options.Evaluator = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    dry_run: options.DryRun = False,
) -> None:
    """Train a new head on a frozen pretrained trunk; with --unfreeze-last, then the last block as well."""
    from toolbox.cli.terminal import Terminal

    terminal = Terminal(as_json, quiet)
    settings = {
        **every_stage(epochs),
        "training.weights": weights,
        "training.pretrained": pretrained,
        "head.type": head,
        "training.train_on": train_on,
        "split.protocol": protocol,
        "audit.allow_leaks": allow_leaks or None,
        "training.batch_size": batch_size,
        "training.size": size,
        "device": device,
        "seed": seed,
        "augment.augmenter": augmenter,
        "evaluators": evaluator or None,
    }
    place = open_workspace(workspace, terminal, sets, data, settings, dry_run)
    _go(place, terminal, model, finetune=True, unfreeze_last=unfreeze_last, dry_run=dry_run)


def _go(
    place: Workspace, terminal: Terminal, model: str, *, finetune: bool, unfreeze_last: bool, dry_run: bool
) -> None:
    if dry_run:
        _plan(place, terminal, model, finetune, unfreeze_last)
    else:
        from toolbox.cli.render import run_result

        run = place.finetune(model, unfreeze_last=unfreeze_last) if finetune else place.train(model)
        terminal.show(*run_result(run, terminal.results.width))
        terminal.emit(run.evaluation)
    terminal.end(place.quarantined)


def _plan(place: Workspace, terminal: Terminal, model: str, finetune: bool, unfreeze_last: bool) -> None:
    from toolbox.cli.render import duration, gigabytes

    plan: dict[str, Any] = place.plan_training(model, finetune=finetune, unfreeze_last=unfreeze_last)
    terminal.show(
        f"Would train {plan['model']} ({plan['parameters']:,} parameters, weights: {plan['weights']}) on"
        f" {plan['train_images']:,} images ({plan['train_on']}) of {plan['size']} pixels on {plan['device']}:",
        *(f"  {stage['name']}: {stage['epochs']} epoch(s) at lr {stage['lr']:g}" for stage in plan["stages"]),
        f"At most about {duration(plan['seconds'])}; up to {gigabytes(plan['bytes'])} of disk.",
    )
    terminal.emit({"dry_run": True, **plan})
