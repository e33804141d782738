"""Runs as TensorBoard and MLflow have them; and trackers that fail, which no training may notice."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.conftest import Toolbox
from toolbox import TrackerComponent, Workspace, hookimpl
from toolbox.api.errors import EnvironmentFailure, Interrupted, UsageError
from toolbox.api.progress import SilentReporter
from toolbox.api.tracker import Tracker
from toolbox.plugin import discovery
from toolbox.runs.folder import Run

QUICK = {"training.size": 32, "training.epochs": 3, "training.early_stopping": False, "audit.near": False}


def workspace(photos: Path, trackers: Sequence[str], **more: object) -> Workspace:
    settings = {**QUICK, "training.trackers": list(trackers)}
    return Workspace(
        photos.parent / "ws", data=photos, settings=settings, evaluators=["classification:resamples=100"], **more
    )  # type: ignore[arg-type]


def test_tensorboard_has_every_epoch_and_the_metrics(photos: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = workspace(photos, ["tensorboard"]).train("alzheimer-cnn")
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars("loss/train")]
    expected = [(at, pytest.approx(line["train_loss"])) for at, line in enumerate(run.history(), start=1)]
    assert losses == expected and len(losses) == 3
    (accuracy,) = events.Scalars("test/accuracy")
    assert accuracy.value == pytest.approx(run.metrics["accuracy"].value)
    assert {"loss/validation", "accuracy/train", "lr", "test/accuracy/low"} <= set(events.Tags()["scalars"])
    text = events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert json.loads(text.strip("`").removeprefix("json"))["training"]["epochs"] == 3


def test_mlflow_has_every_epoch_the_settings_and_the_end(photos: Path) -> None:
    from mlflow import MlflowClient

    run = workspace(photos, ["mlflow"]).train("alzheimer-cnn")
    client = MlflowClient(f"sqlite:///{(photos.parent / 'ws' / 'mlflow.db').as_posix()}")
    experiment = client.get_experiment_by_name("toolbox")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == run.id and found.info.status == "FINISHED"
    losses = client.get_metric_history(found.info.run_id, "loss/train")
    assert [(m.step, m.value) for m in losses] == [
        (at, pytest.approx(line["train_loss"])) for at, line in enumerate(run.history(), start=1)
    ]
    assert found.data.metrics["test/accuracy"] == pytest.approx(run.metrics["accuracy"].value)
    assert found.data.params["training.epochs"] == "3" and found.data.params["model"] == "alzheimer-cnn"


def test_a_server_that_is_away_holds_nothing_up(photos: Path) -> None:
    reporter = SilentReporter()
    run = workspace(photos, ["mlflow:uri=http://127.0.0.1:9"], reporter=reporter).train("alzheimer-cnn")
    assert run.finished and any("mlflow" in text and "gets nothing more" in text for text in reporter.warnings)


@hookimpl
def toolbox_trackers() -> Iterator[TrackerComponent]:
    yield TrackerComponent("recorder", "keeps what it gets", f"{__name__}:Recorder")
    yield TrackerComponent("absent", "is not installed", "no_such_package_here:Tracker", requires=("no-such",))
    yield TrackerComponent("broken", "has no factory", f"{__name__}:no_such_name")


class Recorder(Tracker):
    """Keeps what it was told; fails or interrupts where it is told to."""

    told: ClassVar[list[tuple[str, Any]]] = []

    def __init__(self, *, fail: str = "", stop_after: int = 0) -> None:
        self.fail, self.stop_after, self.epochs = fail, stop_after, 0

    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        self._keep("started", (folder.name, record["status"], len(history)))

    def epoch(self, line: Mapping[str, Any]) -> None:
        self.epochs += 1
        self._keep("epoch", line["epoch"])
        if self.epochs == self.stop_after:
            signal.raise_signal(signal.SIGINT)

    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
        self._keep("ended", (record["status"], evaluation is not None))

    def _keep(self, what: str, said: Any) -> None:
        self.told.append((what, said))
        if what == self.fail:
            raise OSError("no space left")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What a third party's tracker called ``recorder`` was told."""
    points = [*entry_points(group="toolbox"), EntryPoint("third-party", __name__, "toolbox")]
    plugins = [discovery.metadata_of(point) for point in points]
    monkeypatch.setattr(discovery, "installed", lambda: discovery.in_order(plugins))
    monkeypatch.setattr(Recorder, "told", [])
    return Recorder.told


EPOCHS = [("epoch", 1), ("epoch", 2), ("epoch", 3)]


def test_a_tracker_is_told_from_beginning_to_end(photos: Path, told: list[tuple[str, Any]]) -> None:
    workspace(photos, ["recorder"]).train("alzheimer-cnn")
    assert told == [("started", ("001-alzheimer-cnn", "running", 0)), *EPOCHS, ("ended", ("finished", True))]


@pytest.mark.parametrize("where", ["started", "epoch", "ended"])
def test_a_failing_tracker_is_told_of_once_and_stops_nothing(
    photos: Path, told: list[tuple[str, Any]], where: str
) -> None:
    reporter = SilentReporter()
    run = workspace(photos, [f"recorder:fail={where}", "recorder"], reporter=reporter).train("alzheimer-cnn")
    assert run.finished and len(run.history()) == 3
    (warning,) = [text for text in reporter.warnings if "tracker" in text]
    assert f'recorder:fail="{where}" gets nothing more' in warning and "no space left" in warning
    assert [each for each in told if each[0] == "ended"][-1] == ("ended", ("finished", True))  # the other one


def test_an_interrupted_run_is_said_to_be_and_goes_on(photos: Path, told: list[tuple[str, Any]]) -> None:
    with pytest.raises(Interrupted):
        workspace(photos, ["recorder:stop_after=2"]).train("alzheimer-cnn")
    assert told[-1] == ("ended", ("interrupted", False))
    told.clear()
    place = photos.parent / "ws"
    run = Workspace(place, settings={"training.trackers": ["recorder"]}).resume("1")
    assert run.finished and len(run.history()) == 3
    assert told == [("started", (run.id, "running", 2)), EPOCHS[2], ("ended", ("finished", True))]


def test_mlflow_goes_on_in_the_same_run(photos: Path) -> None:
    from mlflow import MlflowClient

    from toolbox_trackers.heavy.flow import MLflow

    run = Run(photos.parent / "ws" / "runs" / "001-it's")
    record = {
        "command": "",
        "model": "m",
        "kind": "train",
        "weights": "random",
        "config": {"seed": 0},
        "status": "running",
    }
    run.path.mkdir(parents=True)
    line = {"train_loss": 1.0, "val_loss": None, "lr": float("nan")}
    for history, status in (([], "interrupted"), ([line], "finished")):
        tracker = MLflow()
        tracker.started(run.path, record, history)
        tracker.epoch(line)
        tracker.ended({**record, "status": status}, None)
    client = MlflowClient(f"sqlite:///{(photos.parent / 'ws' / 'mlflow.db').as_posix()}")
    (found,) = client.search_runs([client.get_experiment_by_name("toolbox").experiment_id])
    assert [m.step for m in client.get_metric_history(found.info.run_id, "loss/train")] == [1, 2]
    assert found.info.status == "FINISHED" and set(found.data.metrics) == {"loss/train"}


def test_unknown_and_uninstalled_trackers_are_told_before_training(photos: Path, told: list[tuple[str, Any]]) -> None:
    for spec, kind, text in (
        ("recoder", UsageError, "Did you mean 'recorder'"),
        ("recorder:fial=x", UsageError, "no parameter 'fial'"),
        ("absent", EnvironmentFailure, "no_such_package_here"),
        ("broken", UsageError, "can't be imported"),
    ):
        with pytest.raises(kind, match=text):
            workspace(photos, [spec]).train("alzheimer-cnn")
    assert not told and not (photos.parent / "ws" / "runs").exists()


def test_trackers_are_no_part_of_the_experiment(photos: Path, toolbox: Toolbox, told: list[tuple[str, Any]]) -> None:
    for seed, specs in ((0, ["recorder"]), (1, []), (2, [])):
        settings = {**QUICK, "training.epochs": 1, "training.trackers": specs, "seed": seed}
        few = ["classification:resamples=100"]
        Workspace(photos.parent / "ws", data=photos, settings=settings, evaluators=few).train("alzheimer-cnn")
    done = toolbox("compare", "1", "2", "3", "-C", photos.parent / "ws", "--json")
    assert done.code == 0 and len(done.document["arms"]) == 1, done.stderr
