"""mixup and cutmix: soft targets that say what is in the picture, the same every time, and only while training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional as F

from toolbox.api.augmenter import ImageInfo, MixingAugmenter
from toolbox.api.errors import UsageError
from toolbox.api.progress import SilentReporter
from toolbox.data.manifest import Row
from toolbox.plugin.registry import Registry
from toolbox.runs.record import RunRecord
from toolbox.settings.schema import TrainingSettings
from toolbox.training import loop
from toolbox.training.batches import epoch_batches
from toolbox.training.inputs import AugmentedPixels, LabeledInputs, MixedPixels, Pixels, augment_online
from toolbox.training.stages import Stage
from toolbox.workspace import Workspace
from toolbox_kornia.heavy.mixing import Cutmix, Mixup

MIXERS: list[MixingAugmenter] = [Mixup(alpha=1.0), Cutmix()]
INFO = ImageInfo(24, 32, 3)
each_mixer = pytest.mark.parametrize("mixer", MIXERS, ids=["mixup", "cutmix"])


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture i is i + 1 throughout and of a class of its own, so that a mean tells what it is made of."""
    images = (torch.arange(count) + 1.0).reshape(-1, 1, 1, 1).expand(-1, 3, 24, 32).contiguous()
    return images, torch.eye(count)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 9), cut=st.booleans())
def test_targets_say_what_the_picture_is_made_of(seed: int, count: int, cut: bool) -> None:
    mixer = MIXERS[cut]
    images, targets = batch(count)
    before = images.clone()
    params = mixer.draw_batch(generator(seed), count, INFO)
    mixed, soft = mixer.mix(images, targets, json.loads(json.dumps(params)))
    assert mixed.shape == images.shape and soft.shape == targets.shape
    assert torch.allclose(soft.sum(1), torch.ones(count))
    assert (soft >= 0).all()
    content = mixed.mean(dim=(1, 2, 3))
    assert torch.allclose(content, soft @ (torch.arange(count) + 1.0), atol=1e-4)
    assert torch.equal(images, before)
    if count > 1:
        assert params["shift"] in range(1, count)  # nobody is mixed with itself


def test_mixup_is_a_weighted_mean_and_cutmix_a_rectangle() -> None:
    images, targets = batch(3)
    mixed, soft = Mixup().mix(images, targets, {"share": 0.75, "shift": 1})
    assert torch.allclose(mixed[:, 0, 0, 0], torch.tensor([1.25, 2.25, 2.5]))
    assert torch.allclose(soft[2], torch.tensor([0.25, 0.0, 0.75]))
    mixed, soft = Cutmix().mix(images, targets, {"share": 0.75, "shift": 2, "x": 0.5, "y": 0.0})
    expected = torch.ones(24, 32)
    expected[:6, 8:24] = 3  # half as wide and high; its upper half sticks out and is cut off
    assert torch.equal(mixed[0, 1], expected)
    assert soft[0].tolist() == pytest.approx([1 - 6 * 16 / (24 * 32), 0, 6 * 16 / (24 * 32)])


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_are_beta_and_partners_even(alpha: float) -> None:
    params = [Mixup(alpha=alpha).draw_batch(generator(seed), 8, INFO) for seed in range(3000)]
    assert stats.kstest([p["share"] for p in params], stats.beta(alpha, alpha).cdf).pvalue > 0.01
    assert stats.chisquare(np.bincount([int(p["shift"]) for p in params])[1:]).pvalue > 0.01
    for name in ("x", "y"):
        assert stats.kstest([p[name] for p in params], "uniform").pvalue > 0.01


def inputs(mixer: MixingAugmenter, seed: int = 0) -> MixedPixels:
    images = generator(5).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    pixels = Pixels(images, (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    mixed = augment_online(pixels, [], mixer, seed, 2)
    assert isinstance(mixed, MixedPixels)
    return mixed


@each_mixer
def test_a_batch_is_keyed_by_seed_epoch_and_number(mixer: MixingAugmenter) -> None:
    def of(seed: int, epoch: int, number: int) -> torch.Tensor:
        pixels = inputs(mixer, seed)
        pixels.epoch = epoch
        indices = torch.arange(6)
        images, soft = pixels.mix(pixels.batch(indices), indices % 2, number)
        assert soft.dtype == torch.float32 and soft.shape == (6, 2)
        return images

    first = of(1, 1, 1)
    assert torch.equal(first, of(1, 1, 1))
    for other in ((2, 1, 1), (1, 2, 1), (1, 1, 2)):
        assert not torch.equal(first, of(*other))


def test_what_does_not_mix_passes_through(registry: Registry) -> None:
    plain = Pixels(np.zeros((4, 8, 8, 3), np.uint8), (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    rows = [Row(id=str(i), path=str(i), label="a", pixels=str(i)) for i in range(4)]
    copies = augment_online(plain, rows, registry.augmenter("colour"), 0, 2)
    assert isinstance(copies, AugmentedPixels)
    targets = torch.arange(4) % 2
    for each in (plain, copies):
        pixels = each.batch(torch.arange(4))
        same, hard = each.mix(pixels, targets, 1)
        assert same is pixels and hard is targets


@each_mixer
def test_the_loop_learns_from_soft_targets_and_repeats(mixer: MixingAugmenter) -> None:
    """The first loss is that of the soft targets of the first batch, computed here by hand."""
    stage = Stage("train", TrainingSettings(epochs=2, batch_size=12, lr=0.01, optimizer="sgd", weight_decay=0))
    targets = torch.arange(12) % 2

    def trained() -> tuple[list[loop.EpochMetrics], torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16 * 16 * 3, 2))
        start = module[1].weight.detach().clone()
        lines: list[loop.EpochMetrics] = []
        loop.fit(module, module, LabeledInputs(inputs(mixer), targets), None, stage, on_epoch=lines.append)
        return lines, start, module[1].weight.detach()

    lines, start, end = trained()
    again, _, same = trained()
    assert [line.train_loss for line in lines] == [line.train_loss for line in again]
    assert torch.equal(end, same) and not torch.equal(start, end)
    pixels = inputs(mixer)
    pixels.stage, pixels.epoch = "train", 1
    (indices,) = epoch_batches(targets, stage, 1)
    mixed, soft = pixels.mix(pixels.batch(indices), targets[indices], 1)
    torch.manual_seed(0)
    fresh = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16 * 16 * 3, 2))
    assert lines[0].train_loss == pytest.approx(F.cross_entropy(fresh(mixed), soft).item(), rel=1e-5)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_there_are_no_copies_to_keep(registry: Registry, name: str, photos: Path, tmp_path: Path) -> None:
    assert isinstance(registry.online_augmenter(f"{name}:alpha=0.5"), MixingAugmenter)
    ws = Workspace(tmp_path, data=photos, settings={"augment.augmenter": name})
    for work in (ws.augment, ws.plan_augment, ws.preview):
        with pytest.raises(UsageError) as caught:
            work()
        assert "--train-on online" in caught.value.hint
    assert not list(tmp_path.glob("augmented/*"))


@pytest.mark.parametrize("name", ["mixup", "cutmix", 'compose:steps=["flip-rotate-zoom","colour"]'])
def test_training_online_is_repeatable(name: str, photos: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "training.size": 32,
        "head.epochs": 2,
        "last.epochs": 1,
        "training.batch_size": 8,
        "training.pretrained": False,
        "training.train_on": "online",
        "augment.augmenter": name,
    }

    def run(folder: str) -> tuple[list[float], RunRecord]:
        ws = Workspace(tmp_path / folder, data=photos, settings=settings)
        run = ws.finetune("timm:arch=test_resnet")
        lines = (run.path / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["train_loss"] for line in lines], run.record

    losses, record = run("a")
    assert losses == run("b")[0]
    reporter = SilentReporter()
    settings = {**settings, "training.train_on": "auto", "head.epochs": 0}
    Workspace(tmp_path / "c", data=photos, settings=settings, reporter=reporter).finetune("timm:arch=test_resnet")
    assert any("nothing is mixed" in text for text in reporter.warnings) == (name in ("mixup", "cutmix"))
    assert len(losses) >= 2 and all(np.isfinite(losses))
    assert record.train_on == "online" and not record.stages[0].cached
