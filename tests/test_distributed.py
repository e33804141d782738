"""Two processes train what one does: gloo on the CPU, started by torchrun as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import in_a_process
from toolbox import runs
from toolbox.runs import Run
from toolbox.training.distributed import ALONE, Team

TOLERANCE = 1e-4
"""Of a loss: sums in another order, over some ten steps."""


def together(*arguments: object) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "toolbox"]
    return subprocess.run(
        [*launch, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.mark.parametrize(
    "command", [("finetune", "timm:arch=test_resnet", "--unfreeze-last"), ("train", "alzheimer-cnn")]
)
def test_two_processes_train_what_one_does(photos: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    settings = {
        "training.size": 32,
        "training.batch_size": 5,
        "training.pretrained": "false",
        "training.balance": "weights",
    }
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    both = (*command, "--epochs", 3, "--data", photos, "--json", *words, "-C")
    one = in_a_process(*both, tmp_path / "one", env={"OMP_NUM_THREADS": "1"})
    two = together(*both, tmp_path / "two")
    assert one.code == 0 and two.returncode == 0, two.stderr
    first, second = (runs.find(tmp_path / name) for name in ("one", "two"))
    assert [run.id for run in runs.all_of(tmp_path / "two")] == [second.id]
    assert second.record["processes"] == 2 and not (second.path / runs.CHECKPOINT).exists()
    for ours, theirs in zip(first.history(), second.history(), strict=True):
        assert ours["epoch"] == theirs["epoch"] and ours["train_accuracy"] == theirs["train_accuracy"]
        for name in ("train_loss", "val_loss"):
            assert ours[name] == pytest.approx(theirs[name], abs=TOLERANCE)
    assert two.stdout.count('"schema"') == 1
    assert probabilities(first) == pytest.approx(probabilities(second), abs=TOLERANCE)


def probabilities(run: Run) -> list[float]:
    return [float(line["p:left"]) for line in runs.read_predictions(run.path / runs.PREDICTIONS)]


def test_every_sample_of_a_batch_is_taken_once() -> None:
    for count in (1, 2, 3, 7):
        shares = [Team(rank, 3).share(torch.arange(count)) for rank in range(3)]
        taken = torch.cat([indices for indices, counts in shares if counts])
        assert sorted(taken.tolist()) == list(range(count))
        assert all(len(indices) for indices, _ in shares)
    assert ALONE.share(torch.arange(3))[1] == 1
