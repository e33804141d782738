"""``toolbox demo``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolbox.cli.command import Call, command

if TYPE_CHECKING:
    from toolbox.api.progress import Reporter

app = typer.Typer()

# Study A's augmentation (the original and four copies) for its small network and for a pretrained one.
SETTINGS = """\
data = "phantom"

[augment]
augmenter = "alzheimer"
factor = 5
include_source = true
quality = 90

[training]
batch_size = 64
epochs = 20
early_stopping = false # a handful of validation subjects can't tell when to stop

[head]
early_stopping = true

[last]
early_stopping = true
"""


@dataclass(frozen=True)
class Step:
    """A step of the demo, and the command that does the same."""

    command: str
    purpose: str
    run: Callable[[], object]


@command(app, panel="Begin")
def demo(
    call: Call,
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The folder to work in.")] = Path("toolbox-demo"),
) -> None:
    """Run a whole experiment on the embedded dataset, without network: augment, train, fine-tune, report."""
    import time

    from rich.markup import escape

    from toolbox.cli.views.runs import run_result, runs_table
    from toolbox.cli.views.tables import duration
    from toolbox.runs.folder import Run
    from toolbox.workspace import REPORT

    terminal = call.terminal
    start = time.perf_counter()
    runs = []
    for step in _steps(folder, terminal.reporter()):
        terminal.show(f"\n[bold cyan]$ {escape(step.command)}[/]  [dim]# {escape(step.purpose)}[/]")
        run = step.run()
        if isinstance(run, Run):
            runs.append(run)
            terminal.show(*run_result(run, terminal.results.width))
    seconds = time.perf_counter() - start
    terminal.show(
        "",
        *runs_table(runs),
        f"\nFinished in {duration(seconds)}. Open [bold]{escape(str(folder / REPORT))}[/] in a browser; the same"
        " commands work in your own folder after [bold]toolbox init PATH[/].",
    )
    terminal.emit(
        {
            "path": str(folder),
            "report": str(folder / REPORT),
            "seconds": round(seconds, 1),
            "runs": [run.evaluation.document() for run in runs],
        }
    )


def _steps(folder: Path, reporter: Reporter) -> Iterator[Step]:
    """The demo's steps in the workspace ``folder``, whose ``toolbox.toml`` is written first."""
    from toolbox.files.atomic import write_text
    from toolbox.files.command_line import command_line
    from toolbox.settings.layers import FILE_NAME
    from toolbox.workspace import Workspace

    write_text(folder / FILE_NAME, SETTINGS)

    def step(purpose: str, run: Callable[[Workspace], object], *words: str) -> Step:
        command = command_line(*words, workspace=folder)
        return Step(command, purpose, lambda: run(Workspace(folder, reporter=reporter, command=command)))

    yield step("five files for each training slice", Workspace.augment, "augment")
    yield step("study A's network, from scratch", lambda ws: ws.train("alzheimer-cnn"), "train", "alzheimer-cnn")
    yield step(
        "ImageNet weights; a new head, then the last block",
        lambda ws: ws.finetune("efficientnet-lite0", unfreeze_last=True),
        *("finetune", "efficientnet-lite0", "--unfreeze-last"),
    )
    yield step("everything in one HTML file", Workspace.report, "report")
