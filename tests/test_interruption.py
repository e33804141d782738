"""A training that is killed, interrupted or out of disk space resumes to the same bits."""

from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from safetensors.torch import save_file

from tests.background import Background, start_command
from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.api.model import ModelRequest
from toolbox.api.progress import Reporter, SilentReporter, Task
from toolbox.files import locks
from toolbox.plugin.registry import Registry
from toolbox.runs.folder import CHECKPOINT, HISTORY, MODEL, PREDICTIONS, Run, list_runs
from toolbox.workspace import Workspace

resource = pytest.importorskip("resource", reason="signals and limits of a POSIX system")

TINY = "timm:arch=test_resnet"
TUNED, SCRATCH, ONLINE = "tuned", "scratch", "online"
"""Two stages; one stage with dropout; two stages on fresh copies in each epoch."""

SETTINGS: dict[str, Any] = {
    "training.size": 32,
    "training.batch_size": 4,
    "training.pretrained": False,
    "training.schedule": "cosine",
    "training.checkpoint_minutes": 0,
    "head.type": "mlp-8",
    "head.epochs": 3,
    "last.epochs": 3,
    "last.batch_norm": "train",
    "threads": 1,
}
REQUEST = ModelRequest(2, 3, 32)
STEPS = 5  # an epoch: 20 training images (of 24) in batches of 4


class Stopper(SilentReporter):
    """Sends this process ``number_of_signal`` at the training's step ``at``."""

    def __init__(self, at: int, number_of_signal: int) -> None:
        super().__init__()
        self.left, self.number_of_signal = at, number_of_signal

    def task(self, description: str, total: int | None = None, unit: str = "") -> Task:
        return self if unit == "steps" else super().task(description, total, unit)

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if steps and self.left <= 0:
            os.kill(os.getpid(), self.number_of_signal)

    def describe(self, text: str) -> None: ...

    def close(self) -> None: ...


def train_until_a_step(folder: Path, photos: Path, case: str, at: int, number_of_signal: int) -> None:
    train(folder, photos, case, Stopper(at, number_of_signal))


def train_until_a_write(folder: Path, photos: Path, case: str, at: int) -> None:
    """Train until half of the ``at``-th checkpoint is in its temporary file."""
    fsync, written = os.fsync, 0

    def halfway(descriptor: int) -> None:
        nonlocal written
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.name.startswith(".state.pt."):
            written += 1
            if written == at:
                os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    os.fsync = halfway
    train(folder, photos, case)


def stopped(folder: Path, photos: Path, case: str, at: int, by: int = signal.SIGKILL) -> Run:
    """A run of ``case`` that a signal ended at step ``at``."""
    process = Background(train_until_a_step, folder, photos, case, at, by)
    assert process.wait() == (-by if by == signal.SIGKILL else 1), process.stderr
    return list_runs(folder)[0]


def outcome(run: Run) -> dict[str, Any]:
    """All that a training brings but the time it took."""
    history = [{name: value for name, value in line.items() if name != "seconds"} for line in run.history()]
    return {
        "history": history,
        "stages": run.record.stages,
        "metrics": run.metrics,
        "predictions": (run.path / PREDICTIONS).read_bytes(),
        "weights": {name: value.tobytes() for name, value in load_file(run.path / MODEL).items()},
    }


def train(folder: Path, photos: Path, case: str, reporter: Reporter | None = None) -> Run:
    """The training that ``case`` names, with nothing in its way but ``reporter``."""
    more = {"training.train_on": "online", "augment.size": 32} if case == ONLINE else {}
    place = Workspace(folder, data=photos, settings={**SETTINGS, **more}, reporter=reporter)
    return place.train("alzheimer-cnn:dropout=0.5") if case == SCRATCH else place.finetune(TINY, unfreeze_last=True)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What trainings bring that nothing interrupts, by case."""
    place = tmp_path_factory.mktemp("straight")
    photos = write_photos(place / "photos")
    return {case: outcome(train(place / case, photos, case)) for case in (TUNED, SCRATCH, ONLINE)}


POINTS = [(TUNED, 1 * STEPS + 2), (TUNED, 4 * STEPS), (SCRATCH, 2 * STEPS - 1)]
MORE = [
    *((TUNED, step) for step in (1, 13, 15, 16, 29)),
    *((SCRATCH, step) for step in (2, 33, 59)),
    *((ONLINE, step) for step in (3, 22)),
]


def resumed_equals_straight(run: Run, folder: Path, expected: dict[str, Any]) -> None:
    before = run.history()
    again = Workspace(folder).resume(run.id)
    assert again.finished and again.path == run.path
    assert outcome(again) == expected
    # Seconds and all: what was done was not done again. The last line may have been written after the checkpoint.
    assert again.history()[: len(before[:-1])] == before[:-1]
    assert not (again.path / CHECKPOINT).exists()


@pytest.mark.parametrize(("case", "step"), POINTS)
def test_killed_and_resumed_equals_uninterrupted(
    case: str, step: int, photos: Path, tmp_path: Path, straight: dict[str, dict[str, Any]]
) -> None:
    run = stopped(tmp_path / "ws", photos, case, step)
    assert run.record.status == "running" and (run.path / CHECKPOINT / "state.pt").exists()
    resumed_equals_straight(run, tmp_path / "ws", straight[case])


@pytest.mark.slow
@pytest.mark.parametrize(("case", "step"), MORE)
def test_killed_anywhere_and_resumed_equals_uninterrupted(
    case: str, step: int, photos: Path, tmp_path: Path, straight: dict[str, dict[str, Any]]
) -> None:
    resumed_equals_straight(stopped(tmp_path / "ws", photos, case, step), tmp_path / "ws", straight[case])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to know what is being written")
@pytest.mark.parametrize("number", [1, 9])
def test_killed_while_a_checkpoint_is_written(
    number: int, photos: Path, tmp_path: Path, straight: dict[str, dict[str, Any]]
) -> None:
    assert Background(train_until_a_write, tmp_path / "ws", photos, TUNED, number).wait() == -signal.SIGKILL
    run = list_runs(tmp_path / "ws")[0]
    folder = run.path / CHECKPOINT
    assert [path.name for path in folder.glob(".state.pt.*")] and (folder / "state.pt").exists() == (number > 1)
    resumed_equals_straight(run, tmp_path / "ws", straight[TUNED])


def test_an_interrupted_run_says_how_to_resume_and_does(
    photos: Path, tmp_path: Path, straight: dict[str, dict[str, Any]]
) -> None:
    run = stopped(tmp_path / "ws", photos, TUNED, 8, by=signal.SIGINT)
    assert run.record.status == "interrupted"
    assert len(run.history()) == 1
    resumed_equals_straight(run, tmp_path / "ws", straight[TUNED])
    with pytest.raises(UsageError, match="is finished"):
        Workspace(tmp_path / "ws").resume(run.id)


def test_ctrl_c_on_the_command_line_ends_with_130_and_the_exact_command(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "toolbox.toml").write_text("[training]\nsize = 32\nepochs = 100000\nearly_stopping = false\n")
    process = start_command("train", "alzheimer-cnn", "--data", photos, cwd=tmp_path)
    metrics = tmp_path / "runs" / "001-alzheimer-cnn" / HISTORY
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130, process.stderr
    assert "Resume with: toolbox train --resume 001-alzheimer-cnn\n" in process.stderr
    assert "Traceback" not in process.stderr


def test_ctrl_c_while_a_checkpoint_is_written_is_an_interruption(
    toolbox: Toolbox, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[Path] = []

    class InterruptedFile(io.FileIO):
        def write(self, data: Any) -> int:
            writes.append(Path(str(self.name)))
            if len(writes) == 3:  # in the middle: torch has written the first bytes of the archive
                raise KeyboardInterrupt
            return super().write(data)

    open_file = Path.open

    def open_path(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name.startswith(".state.pt."):
            return InterruptedFile(path, "w")
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_path)
    line = ("--set", "training.checkpoint_minutes=0", "--size", 32, "--epochs", 1)
    done = toolbox("train", "alzheimer-cnn", "--data", photos, "-C", tmp_path / "ws", *line)
    assert done.code == 130 and "Resume with" in done.stderr and "internal error" not in done.stderr
    (run,) = list_runs(tmp_path / "ws")
    assert run.record.status == "interrupted"
    assert [path.name for path in (run.path / CHECKPOINT).iterdir() if path.name != ".lock"] == ["state.pt"]
    assert len({path.name for path in writes}) == 2  # the one that was cut off, and the one at the interruption


def test_a_run_whose_data_or_settings_changed_is_not_resumed(photos: Path, tmp_path: Path) -> None:
    run = stopped(tmp_path / "ws", photos, TUNED, 8)
    with pytest.raises(UsageError, match=r"the settings \(head.epochs, training.lr\) changed"):
        Workspace(tmp_path / "ws", settings={"training.lr": 0.5, "head.epochs": 9}).resume(run.id)
    picture = next((photos / "left").iterdir())
    content = picture.read_bytes()
    picture.write_bytes(next((photos / "right").iterdir()).read_bytes())
    with pytest.raises(UsageError, match=r"the data or their split.*changed since it started"):
        Workspace(tmp_path / "ws", settings={"audit.allow_leaks": True}).resume(run.id)
    picture.write_bytes(content)
    assert Workspace(tmp_path / "ws").resume(run.id).finished


def test_weights_that_changed_are_noticed(photos: Path, tmp_path: Path, registry: Registry) -> None:
    settings = {**SETTINGS, "training.weights": str(tmp_path / "w.safetensors")}
    state = {name: value.clone() for name, value in registry.model(TINY).build(REQUEST).module.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    place = Workspace(tmp_path / "ws", data=photos, settings=settings, reporter=Full(7))
    with pytest.raises(EnvironmentFailure):
        place.finetune(TINY)
    save_file({name: value + 1 for name, value in state.items()}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="the pretrained weights changed"):
        Workspace(tmp_path / "ws").resume("1")


class Full(SilentReporter):
    """From a step on, the disk is full: no file may grow beyond a kilobyte."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def task(self, description: str, total: int | None = None, unit: str = "") -> Task:
        return self if unit == "steps" else super().task(description, total, unit)

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left <= 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    def describe(self, text: str) -> None: ...

    def close(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_full_disk_loses_no_earlier_checkpoint(
    photos: Path, tmp_path: Path, straight: dict[str, dict[str, Any]]
) -> None:
    place = Workspace(tmp_path / "ws", data=photos, settings=SETTINGS, reporter=Full(7))
    with pytest.raises(EnvironmentFailure, match=r"can't write .*state\.pt") as caught:
        place.finetune(TINY, unfreeze_last=True)
    assert "toolbox finetune --resume 001-timm" in caught.value.hint
    run = place.run("1")
    assert run.record.status == "failed" and (run.path / CHECKPOINT / "state.pt").exists()
    assert not list((run.path / CHECKPOINT).glob(".state*"))
    resumed_equals_straight(run, tmp_path / "ws", straight[TUNED])


def test_a_damaged_checkpoint_is_reported(photos: Path, tmp_path: Path) -> None:
    run = stopped(tmp_path / "ws", photos, TUNED, 8)
    state = run.path / CHECKPOINT / "state.pt"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"state\.pt can't be read"):
        Workspace(tmp_path / "ws").resume(run.id)
    state.unlink()
    assert Workspace(tmp_path / "ws").resume(run.id).finished  # from the start


def test_a_run_is_repeated_from_its_record(
    toolbox: Toolbox, photos: Path, tmp_path: Path, straight: dict[str, dict[str, Any]]
) -> None:
    place = tmp_path / "ws"
    first = train(place, photos, TUNED)
    (place / "toolbox.toml").write_text("[training]\nlr = 0.5\n")  # the run does not use it
    done = toolbox("finetune", "--from-run", "1", "-C", place, "--json")
    assert done.code == 0 and done.document["run"] == "002-timm"
    assert outcome(Workspace(place).run("2")) == outcome(first) == straight[TUNED]
    done = toolbox("finetune", "--from-run", "1", "-C", place, "--seed", 5, "--json")
    third = Workspace(place).run("3").record
    assert third.seed == 5 and third.config["training"] == first.record.config["training"]
    next((photos / "left").iterdir()).unlink()
    done = toolbox("train", "--from-run", "1", "-C", place)
    assert done.code == 2 and "can't be repeated" in done.stderr and "the data" in done.stderr


def test_what_to_train_is_stated_once(toolbox: Toolbox, tmp_path: Path) -> None:
    for words in ((), ("resnet50", "--resume", "1"), ("--resume", "1", "--from-run", "1")):
        done = toolbox("finetune", *words, "-C", tmp_path)
        assert done.code == 2 and "name a model, or one earlier run" in done.stderr
    done = toolbox("finetune", "resnet50", "--unfreeze-last", "--unfreeze", "3", "-C", tmp_path)
    assert done.code == 2 and "Use one of them" in done.stderr
    done = toolbox("train", "--resume", "7", "-C", tmp_path)
    assert done.code == 2 and "there is no run '7'" in done.stderr


def test_one_process_trains_a_run(photos: Path, tmp_path: Path) -> None:
    run = stopped(tmp_path / "ws", photos, TUNED, 8)
    with (
        locks.hold_lock(run.path / CHECKPOINT, "training"),
        pytest.raises(EnvironmentFailure, match="is training"),
    ):
        Workspace(tmp_path / "ws").resume(run.id)
