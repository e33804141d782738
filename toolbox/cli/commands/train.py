"""``toolbox train`` and ``toolbox finetune``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolbox import environment
from toolbox.api.errors import UsageError
from toolbox.cli import completion, options
from toolbox.cli.options import every_stage, open_workspace
from toolbox.cli.views.component_help import EPILOG, Command

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.runs.folder import Run
    from toolbox.workspace import Workspace

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Model component spec; see 'toolbox list models'.",
        show_default=False,
        autocompletion=completion.MODEL,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command(cls=Command, epilog=EPILOG, rich_help_panel="Experiment")(train)
    app.command(cls=Command, epilog=EPILOG, rich_help_panel="Experiment")(finetune)


def train(
    model: Model = "",
    data: options.Data = None,
    workspace: options.WorkspaceDir = Path(),
    train_on: options.TrainOn = None,
    protocol: options.Protocol = None,
    allow_leaks: options.AllowLeaks = False,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    lr: options.LearningRate = None,
    optimizer: options.Optimizer = None,
    schedule: options.Schedule = None,
    compile_model: options.Compile = False,
    resume: options.Resume = None,
    from_run: options.FromRun = None,
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

    terminal = Terminal(as_json, quiet or environment.process()[0] > 0)
    settings = {
        **every_stage(epochs),
        "training.train_on": train_on,
        "split.protocol": protocol,
        "audit.allow_leaks": allow_leaks or None,
        "training.batch_size": batch_size,
        "training.lr": lr,
        "training.optimizer": optimizer,
        "training.schedule": schedule,
        "training.compile": compile_model or None,
        "training.size": size,
        "device": device,
        "seed": seed,
        "augment.augmenter": augmenter,
    }
    place = open_workspace(workspace, terminal, sets, data, settings, dry_run, evaluators=evaluator)
    _go(place, terminal, Asked(model, False, resume, from_run), dry_run)


def finetune(
    model: Model = "",
    unfreeze_last: Annotated[
        bool,
        typer.Option("--unfreeze-last", help="After the head, train the last block too.", rich_help_panel="Training"),
    ] = False,
    unfreeze: Annotated[
        str | None,
        typer.Option(
            "--unfreeze",
            metavar="N|NAMES",
            help="After the head, train the last N blocks, or the modules named (layer3,layer4; blocks.1?).",
            rich_help_panel="Training",
        ),
    ] = None,
    unfreeze_all: Annotated[
        bool,
        typer.Option("--unfreeze-all", help="After the head, train everything.", rich_help_panel="Training"),
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
        typer.Option("--head", metavar="linear|flatten-N|mlp-N-M", help="The new head.", rich_help_panel="Training"),
    ] = None,
    head_lr: Annotated[
        float | None, typer.Option("--head-lr", help="Learning rate of stage 1.", rich_help_panel="Training")
    ] = None,
    last_lr: Annotated[
        float | None, typer.Option("--last-lr", help="Learning rate of stage 2.", rich_help_panel="Training")
    ] = None,
    optimizer: options.Optimizer = None,
    schedule: options.Schedule = None,
    compile_model: options.Compile = False,
    resume: options.Resume = None,
    from_run: options.FromRun = None,
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

    terminal = Terminal(as_json, quiet or environment.process()[0] > 0)
    settings = {
        **every_stage(epochs),
        "last.unfreeze": _unfreeze(unfreeze_last, unfreeze, unfreeze_all),
        "training.weights": weights,
        "training.pretrained": pretrained,
        "head.type": head,
        "head.lr": head_lr,
        "last.lr": last_lr,
        "training.optimizer": optimizer,
        "training.schedule": schedule,
        "training.compile": compile_model or None,
        "training.train_on": train_on,
        "split.protocol": protocol,
        "audit.allow_leaks": allow_leaks or None,
        "training.batch_size": batch_size,
        "training.size": size,
        "device": device,
        "seed": seed,
        "augment.augmenter": augmenter,
    }
    place = open_workspace(workspace, terminal, sets, data, settings, dry_run, evaluators=evaluator)
    _go(place, terminal, Asked(model, True, resume, from_run), dry_run)


@dataclass(frozen=True)
class Asked:
    """A training: of a new run, or by an earlier one."""

    model: str
    finetune: bool
    resume: str | None
    from_run: str | None

    def check(self) -> None:
        """Raise a UsageError unless it is exactly one of the three."""
        if sum(map(bool, (self.model, self.resume, self.from_run))) != 1:
            raise UsageError(
                "name a model, or one earlier run with --resume or --from-run",
                "For example 'toolbox finetune resnet50'; see 'toolbox list models'.",
            )


def _unfreeze(last: bool, named: str | None, everything: bool) -> str | None:
    if last + (named is not None) + everything > 1:
        raise UsageError("--unfreeze-last, --unfreeze and --unfreeze-all contradict each other", "Use one of them.")
    return "all" if everything else "last" if last else named


def _go(place: Workspace, terminal: Terminal, asked: Asked, dry_run: bool) -> None:
    asked.check()
    if dry_run:
        _plan(place, terminal, asked)
    else:
        from toolbox.cli.views.render import run_result

        run = _trained(place, asked)
        if environment.process()[0] > 0:
            return  # of torchrun's processes the first one tells
        terminal.show(*run_result(run, terminal.results.width))
        terminal.emit(run.evaluation.document())
    terminal.end(place.quarantined)


def _trained(place: Workspace, asked: Asked) -> Run:
    if asked.resume:
        return place.resume(asked.resume)
    if asked.from_run:
        return place.repeat(asked.from_run)
    return place.finetune(asked.model) if asked.finetune else place.train(asked.model)


def _plan(place: Workspace, terminal: Terminal, asked: Asked) -> None:
    from toolbox.cli.views.render import duration, gigabytes

    if not asked.model:
        raise UsageError("--dry-run plans new trainings", "Name a model in place of --resume or --from-run.")
    plan: dict[str, Any] = place.plan_training(asked.model, finetune=asked.finetune)
    terminal.show(
        f"Would train {plan['model']} ({plan['parameters']:,} parameters, weights: {plan['weights']}) on"
        f" {plan['train_images']:,} images ({plan['train_on']}) of {plan['size']} pixels on {plan['device']}:",
        *(f"  {stage['name']}: {stage['epochs']} epoch(s) at lr {stage['lr']:g}" for stage in plan["stages"]),
        f"At most about {duration(plan['seconds'])}; up to {gigabytes(plan['bytes'])} of disk.",
    )
    terminal.emit({"dry_run": True, **plan})
