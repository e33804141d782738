"""What the core relies on in a tracker."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from toolbox.api.tracker import Tracker
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.subject import Subject

RECORD: dict[str, Any] = {
    "schema": 1,
    "model": "alzheimer-cnn",
    "kind": "train",
    "command": "toolbox train alzheimer-cnn",
    "weights": "random",
    "seed": 0,
    "config": {"seed": 0, "training": {"epochs": 2, "lr": 0.001}},
    "status": "running",
}
"""A record with what a tracker may read."""

LINES: list[dict[str, Any]] = [
    {"stage": "train", "epoch": 1, "train_loss": 0.7, "train_accuracy": 0.5, "val_loss": None, "lr": 0.001},
    {"stage": "train", "epoch": 2, "train_loss": 0.6, "train_accuracy": 0.6, "val_loss": 0.65, "lr": 0.001},
]
EVALUATION: dict[str, Any] = {
    "split": "test",
    "metrics": {
        "accuracy": {"value": 0.5, "low": 0.3, "high": 0.7},
        "precision": {"value": None, "low": None, "high": None},
    },
}

check = Checks(Tracker)


@check
def follows_a_run(subject: Subject) -> Problems:
    """It takes a run from start to end: one that was interrupted and resumed, and one that failed.

    Values may be missing (``None``): there is no validation loss without validation data.
    """
    with tempfile.TemporaryDirectory() as workspace:
        folder = Path(workspace, "runs", "001-alzheimer-cnn")
        folder.mkdir(parents=True)
        yield from _follow(subject.made, folder, [], LINES[:1], "interrupted", None)
        yield from _follow(subject.again(), folder, LINES[:1], LINES[1:], "finished", EVALUATION)
        yield from _follow(subject.again(), folder, [], [], "failed", None)


def _follow(
    tracker: Tracker,
    folder: Path,
    history: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    status: str,
    evaluation: dict[str, Any] | None,
) -> Problems:
    try:
        tracker.started(folder, RECORD, history)
        for line in lines:
            tracker.epoch(line)
        tracker.ended({**RECORD, "status": status}, evaluation)
    except Exception as error:
        yield f"a run that ends as {status!r}: {type(error).__name__}: {error}"
