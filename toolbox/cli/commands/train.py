"""``toolbox train`` and ``toolbox finetune``."""

from __future__ import annotations

from typing import Annotated

import typer

from toolbox.api.errors import UsageError
from toolbox.cli import completion, options
from toolbox.cli.command import Call, command
from toolbox.cli.options import setting

app = typer.Typer()
EARLIER = "Earlier runs"

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Model component spec; see 'toolbox list models'.",
        show_default=False,
        autocompletion=completion.MODEL,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        metavar="RUN", help="Continue an interrupted run.", rich_help_panel=EARLIER, autocompletion=completion.RUN
    ),
]
FromRun = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Repeat a run with all its settings; other options change them.",
        rich_help_panel=EARLIER,
        autocompletion=completion.RUN,
    ),
]

TRAINING = (
    *options.DATASET,
    options.PROTOCOL,
    setting("audit.allow_leaks", "--allow-leaks", constant=True),
    setting("training.train_on", "--train-on"),
    options.EPOCHS,
    options.BATCH_SIZE,
    setting("training.optimizer", "--optimizer"),
    setting("training.schedule", "--schedule"),
    setting("training.size", "--size"),
    setting("training.compile", "--compile", constant=True),
    options.DEVICE,
    options.SEED,
    options.AUGMENTER,
    options.EVALUATOR,
    options.DRY_RUN,
)


@command(app, *TRAINING, setting("training.lr", "--lr"), panel="Experiment")
def train(call: Call, model: Model = "", resume: Resume = None, from_run: FromRun = None) -> None:
    """Train a model from scratch, evaluate it on the test split, and keep the run."""
    _train(call, False, model, resume, from_run)


@command(
    app,
    *TRAINING,
    setting("last.unfreeze", "--unfreeze-last", constant="last", help="after the head, train the last block too"),
    setting("last.unfreeze", "--unfreeze"),
    setting("last.unfreeze", "--unfreeze-all", constant="all", help="after the head, train everything"),
    setting("training.weights", "--weights"),
    setting("training.pretrained", "--pretrained/--no-pretrained"),
    setting("head.type", "--head"),
    setting("head.lr", "--head-lr"),
    setting("last.lr", "--last-lr"),
    panel="Experiment",
)
def finetune(call: Call, model: Model = "", resume: Resume = None, from_run: FromRun = None) -> None:
    """Train a new head on a frozen pretrained trunk; with --unfreeze-last, then the last block as well."""
    _train(call, True, model, resume, from_run)


def _train(call: Call, finetune: bool, model: str, resume: str | None, from_run: str | None) -> None:
    from toolbox.cli.views.runs import run_result, training_plan

    if sum(map(bool, (model, resume, from_run))) != 1:
        raise UsageError(
            "name a model, or one earlier run with --resume or --from-run",
            "For example 'toolbox finetune resnet50'; see 'toolbox list models'.",
        )
    workspace, terminal = call.open_workspace(), call.terminal
    if call.dry_run:
        if not model:
            raise UsageError("--dry-run plans new trainings only", "Name a model instead of --resume or --from-run.")
        plan = workspace.plan_training(model, finetune=finetune)
        terminal.show(*training_plan(plan))
        terminal.emit({"dry_run": True, **plan})
    else:
        if resume:
            run = workspace.resume(resume)
        elif from_run:
            run = workspace.repeat(from_run)
        else:
            run = workspace.finetune(model) if finetune else workspace.train(model)
        if call.follows:
            return
        terminal.show(*run_result(run, terminal.results.width))
        terminal.emit(run.evaluation.document())
    terminal.end(workspace.quarantined)
