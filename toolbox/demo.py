"""The whole way on the embedded dataset, with no network: augment, train, fine-tune, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from toolbox.api.progress import Reporter
from toolbox.runs.folder import Run
from toolbox.workspace import Workspace

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
    """A step as the command that does the same; ``run`` does it and gives the run that it trained, if any."""

    command: str
    purpose: str
    run: Callable[[], Run | None]


def steps(folder: Path, reporter: Reporter) -> Iterator[Step]:
    """The demo's steps in the workspace ``folder``, whose ``toolbox.toml`` is written first."""
    from toolbox.files.atomic import write_text
    from toolbox.settings.layers import FILE_NAME

    write_text(folder / FILE_NAME, SETTINGS)

    def workspace(command: str) -> Workspace:
        return Workspace(folder, reporter=reporter, command=command)

    def augment() -> None:
        workspace("toolbox augment").augment()

    def report() -> None:
        workspace("toolbox report").report()

    scratch, tuned = "toolbox train alzheimer-cnn", "toolbox finetune efficientnet-lite0 --unfreeze-last"
    yield Step("toolbox augment", "five files for each training slice", augment)
    yield Step(scratch, "study A's network, from scratch", lambda: workspace(scratch).train("alzheimer-cnn"))
    yield Step(
        tuned,
        "ImageNet weights; a new head, then the last block",
        lambda: workspace(tuned).finetune("efficientnet-lite0", unfreeze_last=True),
    )
    yield Step("toolbox report", "everything in one HTML file", report)
