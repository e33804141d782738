"""Training: frozen weights do not change by a bit, the cache changes no result, and the loop trains."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from toolbox.api.errors import ToolboxError, UsageError, WeightsUnavailable
from toolbox.api.model import ModelRequest
from toolbox.api.progress import SilentReporter
from toolbox.models import freeze, weights
from toolbox.plugin.registry import Registry
from toolbox.settings.schema import Settings, TrainingSettings
from toolbox.training import batches, loop, stages
from toolbox.training.inputs import LabeledInputs, Pixels
from toolbox.training.stages import Stage
from toolbox.workspace import Workspace

CPU = torch.device("cpu")
TINY = "timm:arch=test_resnet"
STAGE_KEYS = {
    *("name", "epochs", "batch_size", "lr", "layer_decay", "optimizer", "weight_decay", "momentum", "nesterov"),
    *("schedule", "decay", "step_epochs", "step_factor", "warmup_epochs", "warmup_steps", "batch_norm"),
    *("balance", "label_smoothing", "early_stopping", "patience", "steps", "monitor"),
}
"""The settings of a stage in ``run.json``."""

QUICK = {
    "training.size": 32,
    "head.epochs": 2,
    "last.epochs": 2,
    "training.batch_size": 8,
    "training.pretrained": False,
}


def make_stage(**changes: object) -> Stage:
    defaults = {"epochs": 3, "batch_size": 4, "lr": 0.01, "weight_decay": 0, "early_stopping": False, "patience": 3}
    return Stage("train", TrainingSettings.model_validate({**defaults, **changes}))


def tiny(registry: Registry, classes: int = 2):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return registry.model(TINY).build(ModelRequest(classes, 3, 32))


def pixels(count: int, size: int = 32) -> Pixels:
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return Pixels(images, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), CPU)


def fit(module: nn.Module, count: int, stage: Stage) -> list[loop.EpochMetrics]:
    history: list[loop.EpochMetrics] = []
    data = LabeledInputs(pixels(count), torch.arange(count) % 2)
    loop.fit(module, module, data, data, stage, on_epoch=history.append)
    return history


def test_it_overfits_eight_images(registry: Registry) -> None:
    built = tiny(registry)
    last = fit(built.module, 8, make_stage(epochs=30, lr=0.003))[-1]
    assert last.val_accuracy == 1.0 and last.train_loss < 0.1


@pytest.mark.parametrize("batch_norm", ["train", "frozen"])
def test_what_is_frozen_stays_frozen_to_the_bit(registry: Registry, batch_norm: str) -> None:
    built = tiny(registry)
    before = {name: value.clone() for name, value in built.module.state_dict().items()}
    freeze.freeze_all_but(built.module, built.parts.last | built.parts.head, batch_norm)
    frozen = freeze.hash_frozen(built.module)
    fit(built.module, 12, make_stage(batch_norm=batch_norm))
    freeze.set_training_mode(built.module, batch_norm)
    assert freeze.hash_frozen(built.module) == frozen
    changed = {name for name, value in built.module.state_dict().items() if not torch.equal(value, before[name])}
    assert not changed & built.parts.trunk
    assert {name for name, _ in built.module.named_parameters()} & changed == built.parts.last | built.parts.head
    statistics = {name for name in changed if "running" in name}
    assert bool(statistics) == (batch_norm == "train")
    assert all(name.startswith("layer4") for name in statistics)


def test_the_hash_sees_a_single_bit_and_a_statistic(registry: Registry) -> None:
    built = tiny(registry)
    freeze.freeze_all_but(built.module, built.parts.head)
    hashes = {freeze.hash_frozen(built.module)}
    with torch.no_grad():
        weight = built.module.get_parameter(sorted(built.parts.trunk)[0])
        weight.view(torch.int32)[(0,) * weight.dim()] ^= 1
    hashes.add(freeze.hash_frozen(built.module))
    built.module.get_buffer("bn1.running_mean")[0] += 1
    hashes.add(freeze.hash_frozen(built.module))
    assert len(hashes) == 3


def test_early_stopping_restores_the_best_weights(registry: Registry) -> None:
    built = tiny(registry)
    train = LabeledInputs(pixels(12), torch.arange(12) % 2)
    unlearnable = LabeledInputs(pixels(12), 1 - torch.arange(12) % 2)
    losses: list[float] = []
    stage = make_stage(epochs=40, lr=0.003, early_stopping=True)
    start = loop.evaluate(built.module, built.module, unlearnable, stage).loss
    outcome = loop.fit(
        built.module, built.module, train, unlearnable, stage, on_epoch=lambda epoch: losses.append(epoch.val_loss or 0)
    )
    end = loop.evaluate(built.module, built.module, unlearnable, stage).loss
    assert outcome.stopped_early and outcome.epochs == len(losses) < 40
    assert end == pytest.approx(min(start, *losses), rel=1e-5)
    assert outcome.epochs - outcome.best_epoch == 3


def test_a_loss_that_is_not_finite_ends_the_training(registry: Registry) -> None:
    built = tiny(registry)
    with pytest.raises(ToolboxError, match=r"loss is (nan|inf).*epoch \d+, step \d+"):
        fit(built.module, 12, make_stage(lr=1000, optimizer="sgd", epochs=20, momentum=0))


@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_validation_loss_that_is_not_finite_ends_the_training(early_stopping: bool) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32 * 3, 2))
    train = LabeledInputs(pixels(8), torch.arange(8) % 2)
    val = LabeledInputs(pixels(8), torch.arange(8) % 2)
    stage = make_stage(early_stopping=early_stopping)

    def forward(images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = module(images)
        return logits if torch.is_grad_enabled() else logits * torch.nan

    with pytest.raises(ToolboxError, match=r"the validation loss is nan in stage train, epoch 1") as caught:
        loop.fit(module, forward, train, val, stage)
    assert "Lower the learning rate" in caught.value.hint


def test_weights_that_are_not_finite_are_never_kept() -> None:
    """The last step may spoil the weights after the last loss was computed."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32 * 3, 2))
    module[1].weight.register_hook(lambda gradient: gradient * torch.inf)
    data = LabeledInputs(pixels(4), torch.arange(4) % 2)
    with pytest.raises(ToolboxError, match="a weight is not finite after stage train"):
        loop.fit(module, module, data, None, make_stage(epochs=1))


def test_batches_cover_everything_once_and_none_holds_one_sample() -> None:
    for count in (5, 8, 9, 17, 33):
        parts = batches.epoch_batches(torch.zeros(count, dtype=torch.int64), make_stage(batch_size=8), 1)
        assert sorted(torch.cat(parts).tolist()) == list(range(count))
        assert all(len(batch) > 1 for batch in parts)
    fifty, stage = torch.zeros(50, dtype=torch.int64), make_stage()
    first, second, again = (torch.cat(batches.epoch_batches(fifty, stage, epoch)) for epoch in (1, 2, 1))
    assert torch.equal(first, again) and not torch.equal(first, second)
    assert not torch.equal(first, torch.cat(batches.epoch_batches(fifty, replace(stage, seed=3), 1)))


def test_a_stage_falls_back_to_training() -> None:
    settings = Settings.model_validate(
        {"seed": 4, "training": {"lr": 0.5, "batch_size": 3}, "head": {"lr": 0.1, "epochs": 7}}
    )
    (stage,) = stages.plan_stages(settings, True)
    assert (stage.settings.epochs, stage.settings.lr, stage.settings.batch_size, stage.seed) == (7, 0.1, 3, 4)
    assert stage.to_dict()["lr"] == 0.1 and set(stage.to_dict()) == STAGE_KEYS


def test_pixels_are_normalised_and_channels_last() -> None:
    images = pixels(3)
    batch = images.batch(torch.tensor([2, 0]))
    expected = (torch.from_numpy(images.images[[2, 0]]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    assert torch.allclose(batch, expected, atol=1e-6) and batch.is_contiguous(memory_format=torch.channels_last)


def test_a_weight_file_may_lack_the_head_alone(registry: Registry, tmp_path: Path) -> None:
    built = tiny(registry)
    state = {name: value.clone() for name, value in built.module.state_dict().items()}
    body = {name: value + 1 for name, value in state.items() if name not in built.parts.head}
    save_file(body, tmp_path / "w.safetensors", {"mean": "0.1,0.2,0.3", "std": "1,1,1"})
    loaded = weights.load_weights(tiny(registry), weights.read_weights(tmp_path / "w.safetensors"))
    assert loaded.mean == (0.1, 0.2, 0.3) and "w.safetensors" in loaded.weights
    first = min(built.parts.trunk)
    assert torch.equal(loaded.module.state_dict()[first], body[first])
    torch.save(body, tmp_path / "w.pth")
    assert weights.load_weights(tiny(registry), weights.read_weights(tmp_path / "w.pth")).mean == built.mean
    gone = sorted(built.parts.trunk)[3]
    del body[gone]
    save_file(body, tmp_path / "short.safetensors")
    with pytest.raises(UsageError, match=f"lacks the tensor '{re.escape(gone)}'"):
        weights.load_weights(tiny(registry), weights.read_weights(tmp_path / "short.safetensors"))


def test_weights_for_colours_serve_a_model_for_grey(registry: Registry, tmp_path: Path) -> None:
    """Summed over the colours: the output for three equal channels."""
    colour, grey = tiny(registry), registry.model(TINY).build(ModelRequest(2, 1, 32))
    save_file({name: value.clone() for name, value in colour.module.state_dict().items()}, tmp_path / "w.safetensors")
    loaded = weights.load_weights(grey, weights.read_weights(tmp_path / "w.safetensors"), keep_head=True)
    image = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        expected = colour.module.eval()(image.expand(-1, 3, -1, -1))
        assert torch.allclose(loaded.module.eval()(image), expected, atol=1e-5)


def test_the_number_of_threads_is_recorded_and_taken_again(photos: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        place = Workspace(tmp_path / "ws", data=photos, settings={**QUICK, "head.epochs": 1})
        first = place.finetune(TINY)
        torch.set_num_threads(2)
        again = place.repeat(first.id)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert first.record.threads == again.record.threads == again.record.config["threads"] == 3


class Evil:
    """What a pickle can do: run anything when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("evil-was-here"),))  # type: ignore[return-value]


def test_hostile_and_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    (tmp_path / "text.pth").write_text("hello")
    for name in ("evil.pth", "cut.safetensors", "text.pth", "missing.pth"):
        with pytest.raises(UsageError):
            weights.read_weights(tmp_path / name)
    assert not (tmp_path / "evil-was-here").exists()


def test_a_folder_of_weights_is_searched(registry: Registry, tmp_path: Path, photos: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    save_file({k: v.clone() for k, v in tiny(registry).module.state_dict().items()}, folder / "test_resnet.safetensors")
    settings = {**QUICK, "training.pretrained": True, "training.weights_dir": str(folder)}
    run = Workspace(tmp_path / "ws", data=photos, settings=settings).finetune(TINY)
    assert run.record.weights == "file: test_resnet.safetensors"


def test_a_finetuning_records_what_is_needed_to_verify_it(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws", data=photos, settings=QUICK)
    run = ws.finetune(TINY, unfreeze_last=True)
    record = run.record
    assert record.status == "finished" and record.weights == "random" and record.train_on == "originals"
    assert [(stage.name, stage.cached) for stage in record.stages] == [("head", True), ("last", True)]
    assert all(stage.frozen_before == stage.frozen_after for stage in record.stages)
    assert record.data.fingerprint == ws.split.manifest.fingerprint
    assert [line["stage"] for line in run.history()] == ["head", "head", "last", "last"]
    again = Workspace(tmp_path / "two", data=photos, settings=QUICK).finetune(TINY, unfreeze_last=True)
    assert (again.path / "predictions.csv").read_bytes() == (run.path / "predictions.csv").read_bytes()


def test_a_model_comes_back_from_its_run_with_the_same_answers(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws", data=photos, settings=QUICK)
    run = ws.finetune(TINY)
    evaluation = ws.evaluate(run.id, data=photos)
    assert evaluation.external and evaluation.n == 24
    own = {line.split(",")[0]: line for line in (run.path / "predictions.csv").read_text().splitlines()[1:]}
    other = next(run.path.glob("predictions-*.csv")).read_text().splitlines()[1:]
    compared = [(own[line.split(",")[0]], line) for line in other if line.split(",")[0] in own]
    assert len(compared) == len(own)
    for first, second in compared:
        assert np.allclose(
            [float(x) for x in first.split(",")[8:]], [float(x) for x in second.split(",")[8:]], atol=1e-5
        )


@pytest.mark.parametrize("train_on", ["online", "augmented", "auto"])
def test_every_way_to_train_on_copies(photos: Path, tmp_path: Path, train_on: str) -> None:
    settings = {**QUICK, "augment.size": 32, "augment.factor": 2, "training.train_on": train_on}
    ws = Workspace(tmp_path / "ws", data=photos, settings=settings)
    if train_on != "online":
        ws.augment()
    run = ws.finetune(TINY)
    originals = len(ws.split.manifest.part("train"))
    assert run.record.train_on == ("online" if train_on == "online" else "augmented")
    assert sum(run.record.training_files.values()) == originals * (1 if train_on == "online" else 2)
    assert run.record.stages[0].cached == (train_on != "online")


def test_augmented_without_a_set_and_a_damaged_set_are_errors(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "augment.size": 32, "augment.factor": 2, "training.train_on": "augmented"}
    ws = Workspace(tmp_path / "ws", data=photos, settings=settings)
    with pytest.raises(UsageError, match="no augmented set matches"):
        ws.finetune(TINY)
    folder = ws.augment().path
    next(folder.rglob("*.jpg")).unlink()
    with pytest.raises(ToolboxError, match="can't be read"):
        ws.finetune(TINY)


def test_unavailable_weights_are_random_on_the_embedded_dataset_only(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**QUICK, "training.pretrained": True, "head.epochs": 1}
    reporter = SilentReporter()
    run = Workspace(tmp_path / "a", data="phantom:subjects=20,slices=2", settings=settings, reporter=reporter).finetune(
        "alzheimer-cnn"
    )
    assert run.record.weights == "random" and any("random weights" in text for text in reporter.warnings)
    with pytest.raises(WeightsUnavailable):
        Workspace(tmp_path / "b", data=photos, settings=settings).finetune("alzheimer-cnn")


def test_a_failed_run_says_so(photos: Path, tmp_path: Path) -> None:
    settings = {
        **QUICK,
        "training.lr": 1000.0,
        "training.optimizer": "sgd",
        "training.epochs": 50,
        "training.early_stopping": False,
    }
    ws = Workspace(tmp_path / "ws", data=photos, settings=settings)
    with pytest.raises(ToolboxError, match="loss is"):
        ws.train("alzheimer-cnn")
    record = (next((tmp_path / "ws" / "runs").iterdir()) / "run.json").read_text()
    assert '"status": "failed"' in record and "loss is" in record
