"""Trackers: they follow a run from start to end, however it ends, and change nothing of it."""

from __future__ import annotations

import copy
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

from toolbox.api.tracker import Tracker
from toolbox.testing.check import Checks, Problems
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

EPOCHS: list[dict[str, Any]] = [
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

CHECKS = check = Checks(Tracker)


@check
def follows_a_run(subject: Subject) -> Problems:
    """It follows a run to its end. Values may be ``None``: without validation data there is no validation loss."""
    yield from _follow(subject, [("finished", [], EPOCHS, EVALUATION)])


@check
def follows_a_resumed_run(subject: Subject) -> Problems:
    """A run that was interrupted is resumed by a new tracker in the same folder, with the epochs so far."""
    yield from _follow(
        subject, [("interrupted", [], EPOCHS[:1], None), ("finished", EPOCHS[:1], EPOCHS[1:], EVALUATION)]
    )


@check
def follows_a_failed_run(subject: Subject) -> Problems:
    """A run may fail before its first epoch; there is no evaluation then."""
    yield from _follow(subject, [("failed", [], [], None)])


@check
def changes_nothing_of_the_run(subject: Subject) -> Problems:
    """Record, epochs and evaluation are not changed: the toolbox writes them to the run's folder afterwards."""
    before = copy.deepcopy((RECORD, EPOCHS, EVALUATION))
    arguments = copy.deepcopy(before)
    tracker = subject.rebuild()
    tracker.started(_new_run(subject), arguments[0], arguments[1][:1])
    tracker.epoch(arguments[1][1])
    tracker.ended(arguments[0], arguments[2])
    for what, one, other in zip(("the record", "an epoch", "the evaluation"), before, arguments, strict=True):
        if one != other:
            yield f"it changes {what}"


Session = tuple[str, list[dict[str, Any]], list[dict[str, Any]], dict[str, Any] | None]
"""How a session of training ends, the epochs before it, its own epochs, and the evaluation."""


def _follow(subject: Subject, sessions: list[Session]) -> Problems:
    folder = _new_run(subject)
    for status, history, epochs, evaluation in copy.deepcopy(sessions):
        try:
            tracker = subject.rebuild()
            tracker.started(folder, dict(RECORD), history)
            for line in epochs:
                tracker.epoch(line)
            tracker.ended({**RECORD, "status": status}, evaluation)
        except Exception as error:
            yield f"a run that ends as {status!r}: {type(error).__name__}: {' '.join(str(error).split())}"


def _new_run(subject: Subject) -> Path:
    """An empty run folder, in a workspace that lasts as long as ``subject``."""
    workspace = subject.cached("workspace", tempfile.TemporaryDirectory)
    number = next(subject.cached("run numbers", lambda: count(1)))
    folder = Path(workspace.name, "runs", f"{number:03d}-alzheimer-cnn")
    folder.mkdir(parents=True)
    return folder
