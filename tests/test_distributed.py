"""Two processes train what one does: gloo on the CPU, started by torchrun as a user does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.background import finish_command, start_command
from tests.conftest import Finished
from toolbox.runs.folder import CHECKPOINT, HISTORY, PREDICTIONS, Run, find_run, list_runs
from toolbox.runs.predictions import Predictions
from toolbox.training.distributed import SINGLE_PROCESS, ProcessGroup

TOLERANCE = 1e-4
"""Of a loss: sums in another order, over some ten steps."""


LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "toolbox"]
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


def together(*arguments: object) -> Finished:
    """Two processes, with the environment variables that torchrun gives them; the first one's answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [start_command(*arguments, env={**common, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"]
    codes = [rank.wait() for rank in ranks]
    return Finished(max(codes, key=abs), ranks[0].stdout, "".join(rank.stderr for rank in ranks))


def under_torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*LAUNCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, check=False)


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
    one = finish_command(*both, tmp_path / "one")
    two = together(*both, tmp_path / "two")
    assert one.code == 0 and two.code == 0, two.stderr
    first, second = (find_run(tmp_path / name) for name in ("one", "two"))
    assert [run.id for run in list_runs(tmp_path / "two")] == [second.id]
    assert second.record.processes == 2 and not (second.path / CHECKPOINT).exists()
    for ours, theirs in zip(first.history(), second.history(), strict=True):
        assert ours["epoch"] == theirs["epoch"] and ours["train_accuracy"] == theirs["train_accuracy"]
        for name in ("train_loss", "val_loss"):
            assert ours[name] == pytest.approx(theirs[name], abs=TOLERANCE)
    assert two.stdout.count('"schema"') == 1
    assert probabilities(first) == pytest.approx(probabilities(second), abs=TOLERANCE)


def probabilities(run: Run) -> list[float]:
    return Predictions.read(run.path / PREDICTIONS).probabilities[:, 0].tolist()


def test_every_sample_of_a_batch_is_taken_once() -> None:
    for count in (1, 2, 3, 7):
        shards = [ProcessGroup(rank, 3).shard(torch.arange(count)) for rank in range(3)]
        samples = torch.cat([indices for indices, weight in shards if weight])
        assert sorted(samples.tolist()) == list(range(count))
        assert all(len(indices) for indices, _ in shards)
    assert SINGLE_PROCESS.shard(torch.arange(3))[1] == 1


@pytest.mark.slow  # three times two processes
def test_interrupted_processes_stop_together_and_resume(photos: Path, tmp_path: Path) -> None:
    words = ["--set", "training.size=32", "--set", "training.early_stopping=false", "--set", "training.batch_size=4"]
    both = ("train", "alzheimer-cnn", "--epochs", 150, "--data", photos, *words, "-C")
    assert under_torchrun(*both, tmp_path / "straight").returncode == 0
    command = [*LAUNCH, *map(str, both), str(tmp_path / "stopped")]
    process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "stopped" / "runs" / "001-alzheimer-cnn" / HISTORY
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=120)[1]
    run = find_run(tmp_path / "stopped", "1")
    assert run.record.status == "interrupted" and 0 < len(run.history()) < 150, stderr
    assert "--resume 001-alzheimer-cnn" in stderr
    done = under_torchrun("train", "--resume", "1", "-C", tmp_path / "stopped")
    assert done.returncode == 0, done.stderr
    straight, again = find_run(tmp_path / "straight"), find_run(tmp_path / "stopped")
    assert (straight.path / PREDICTIONS).read_bytes() == (again.path / PREDICTIONS).read_bytes()
    losses = [[line["train_loss"] for line in found.history()] for found in (straight, again)]
    assert losses[0] == losses[1]
