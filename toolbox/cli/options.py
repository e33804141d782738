"""Options that mean the same wherever they stand, and the workspace that they describe."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolbox.cli import completion

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.workspace import Workspace

DATA = "Data"
_HOW = "Training"
_RUN = "Earlier runs"
_OUTPUT = "Output"

Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="SPEC",
        help="A folder, a manifest file, or a dataset spec; see 'toolbox list datasets'.",
        rich_help_panel=DATA,
        autocompletion=completion.DATA,
    ),
]
WorkspaceDir = Annotated[
    Path, typer.Option("--workspace", "-C", metavar="DIR", help="The folder to work in.", rich_help_panel=DATA)
]
Test = Annotated[
    float | None, typer.Option("--test", help="Share of each class for the test split.", rich_help_panel=DATA)
]
Val = Annotated[float | None, typer.Option("--val", help="Share for validation of what is left.", rich_help_panel=DATA)]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="REGEX|COLUMN",
        help="What must never be divided: a regular expression on the path with one capture, or a manifest column.",
        rich_help_panel=DATA,
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="split-then-augment|augment-then-split",
        help="augment-then-split leaks on purpose, to show what it does; it marks whatever follows.",
        rich_help_panel=DATA,
    ),
]
AllowLeaks = Annotated[
    bool,
    typer.Option("--allow-leaks", help="Train over a leak; the run is marked leaky for good.", rich_help_panel=DATA),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting by its dotted name; may be repeated.",
        autocompletion=completion.SETTING,
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of training and augmentation.")]
Augmenter = Annotated[
    str | None,
    typer.Option(
        "--augmenter",
        metavar="SPEC",
        help="Augmenter component spec; see 'toolbox list augmenters'.",
        autocompletion=completion.AUGMENTER,
    ),
]
Evaluator = Annotated[
    list[str] | None,
    typer.Option(
        "--evaluator",
        metavar="SPEC",
        help="A further evaluator, beside those of the settings ('classification'); may be repeated; see 'toolbox list"
        " evaluators'.",
        autocompletion=completion.EVALUATOR,
    ),
]
Device = Annotated[
    str | None, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where to compute.", rich_help_panel=_HOW)
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Epochs of every stage.", rich_help_panel=_HOW)]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Images a step.", rich_help_panel=_HOW)]
LearningRate = Annotated[float | None, typer.Option("--lr", help="Learning rate.", rich_help_panel=_HOW)]
Optimizer = Annotated[
    str | None, typer.Option("--optimizer", metavar="adam|adamw|sgd", help="Of every stage.", rich_help_panel=_HOW)
]
Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="constant|exponential|inverse-time|cosine|step",
        help="Of every stage's learning rate; see training.decay, .step_epochs, .warmup_epochs.",
        rich_help_panel=_HOW,
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the model first; pays for long trainings.", rich_help_panel=_HOW)
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Go on with an interrupted run.",
        rich_help_panel=_RUN,
        autocompletion=completion.RUN,
    ),
]
FromRun = Annotated[
    str | None,
    typer.Option(
        "--from-run",
        metavar="RUN",
        help="Do a run again, with all that it was made with; other options change it.",
        rich_help_panel=_RUN,
        autocompletion=completion.RUN,
    ),
]
Size = Annotated[int | None, typer.Option("--size", help="Side of the square input, pixels.", rich_help_panel=_HOW)]
TrainOn = Annotated[
    str | None,
    typer.Option(
        "--train-on",
        metavar="auto|originals|augmented|online",
        help="What to train on; auto takes the augmented set that matches, else the originals.",
        rich_help_panel=_HOW,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.", rich_help_panel=_OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=_OUTPUT)]
Force = Annotated[
    bool, typer.Option("--force", help="Replace a file that toolbox did not write.", rich_help_panel=_OUTPUT)
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done, with time and disk; do nothing.", rich_help_panel=_OUTPUT),
]


def open_workspace(
    path: Path,
    terminal: Terminal,
    sets: list[str] | None = None,
    data: str | None = None,
    settings: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    resplit: bool = False,
    evaluators: list[str] | None = None,
) -> Workspace:
    """The workspace that a command's options describe; an option of its own goes before ``--set``.

    ``settings`` holds dotted names; those that are ``None`` were not given.
    """
    from toolbox.cli.faults import mention_faults
    from toolbox.settings.layers import from_assignments
    from toolbox.workspace import Workspace

    given = dict(from_assignments(sets or []).values)
    given.update({name: value for name, value in (settings or {}).items() if value is not None})
    workspace = Workspace(
        path,
        data=data,
        settings=given,
        reporter=terminal.reporter(),
        command=shlex.join(["toolbox", *sys.argv[1:]]),
        dry_run=dry_run,
        resplit=resplit,
        evaluators=evaluators or (),
    )
    mention_faults(workspace.registry, terminal.reporter().warn)
    return workspace


def every_stage(epochs: int | None) -> dict[str, int | None]:
    """``--epochs`` as settings."""
    return {"training.epochs": epochs, "head.epochs": epochs, "last.epochs": epochs}
