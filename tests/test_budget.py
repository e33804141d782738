"""How long a stage trains, on which draws, what its loss weighs, and what early stopping watches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.conftest import Toolbox
from toolbox.api.errors import UsageError
from toolbox.data.manifest import Row
from toolbox.plugin.registry import Registry
from toolbox.settings.schema import TrainingSettings
from toolbox.training import batches, loop
from toolbox.training.inputs import LabeledInputs, Pixels, augment_online
from toolbox.training.monitor import validate
from toolbox.training.schedules import lr_factor
from toolbox.training.stages import Stage

RARE = torch.tensor([0] * 9 + [1] * 3)


def stage(name: str = "train", **settings: object) -> Stage:
    base = {"batch_size": 4, "lr": 0.1, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0, "early_stopping": False}
    return Stage(name, TrainingSettings.model_validate({**base, **settings}))


def pixels(count: int = 12) -> Pixels:
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return Pixels(images, (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))


def linear() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8 * 8 * 3, 2))


def fit(plan: Stage, targets: torch.Tensor = RARE, val: bool = True) -> tuple[torch.nn.Module, list[loop.EpochMetrics]]:
    module, lines = linear(), []
    data = LabeledInputs(pixels(len(targets)), targets)
    loop.fit(module, module, data, data if val else None, plan, on_epoch=lines.append)
    return module, lines


# ------------------------------------------------------------------------------------------------ steps


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_a_budget_of_steps_cuts_an_epoch_anywhere(steps: int, epochs: int) -> None:
    plan = stage(steps=steps, epochs=100)
    module, lines = fit(plan)
    assert len(lines) == epochs
    # The same steps by hand, in plain torch.
    other, data = linear(), pixels()
    optimizer = torch.optim.SGD(other.parameters(), 0.1)
    done = [indices for epoch in range(1, epochs + 1) for indices in batches.epoch_batches(RARE, plan, epoch)][:steps]
    for indices in done:
        optimizer.zero_grad()
        loss = F.cross_entropy(other(data.batch(indices)), RARE[indices])
        loss.backward()
        optimizer.step()
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)
    if steps % 3 == 1:  # the last epoch is one step long, and its mean is over that step's images alone
        assert lines[-1].train_loss == pytest.approx(loss.item(), rel=1e-5)


def test_no_epochs_leave_the_weights_as_they_are_whatever_the_steps() -> None:
    assert stage(steps=9, epochs=0).count_steps(3) == 0


def test_a_cosine_goes_down_over_the_budget() -> None:
    plan = stage(steps=12, schedule="cosine")
    assert [lr_factor(plan, step, 3) for step in (0, 6)] == pytest.approx([1.0, 0.5])


def test_equal_budgets_are_equal_steps_whatever_the_copies(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    budget = ("--set", "training.steps=5", "--set", "training.batch_size=8", "--size", 16)
    few = ("--data", photos, "-C", tmp_path, *budget)
    done = toolbox("train", "alzheimer-cnn", *few, "--train-on", "originals", "--json")
    assert done.code == 0, done.stderr
    assert toolbox("augment", *few[:4], "--factor", 3, "--size", 16).code == 0
    copies = toolbox("train", "alzheimer-cnn", *few, "--train-on", "augmented", "--json")
    assert copies.code == 0, copies.stderr
    for run in sorted((tmp_path / "runs").iterdir()):
        (trained,) = json.loads((run / "run.json").read_text())["stages"]
        assert (trained["steps"], trained["stopped_early"]) == (5, False)
    plan = toolbox("train", "alzheimer-cnn", *few, "--train-on", "originals", "--dry-run")
    assert "5 steps" in plan.stdout


# ------------------------------------------------------------------------------------------------ draws


def test_draws_are_counted_within_an_epoch() -> None:
    assert batches.count_draws(torch.tensor([4, 2, 4, 4, 0, 2])).tolist() == [0, 0, 1, 2, 0, 1]
    drawn = torch.cat(batches.epoch_batches(RARE, stage(balance="sampler"), 1))
    counts = batches.count_draws(drawn)
    assert len(set(zip(drawn.tolist(), counts.tolist(), strict=True))) == len(drawn)


def test_online_copies_differ_by_stage_epoch_and_draw(registry: Registry) -> None:
    rows = [Row(id=str(i), path="", label="", pixels=f"hash {i}") for i in range(12)]
    online = augment_online(pixels(), rows, registry.augmenter("alzheimer"), 0, 2)

    def copy(stage: str, epoch: int, draw: int) -> bytes:
        online.stage, online.epoch = stage, epoch
        return online.training_batch(torch.tensor([3]), torch.tensor([draw])).numpy().tobytes()

    keys = [("head", 1, 0), ("head", 2, 0), ("last", 1, 0), ("head", 1, 1), ("head", 1, 2)]
    assert len({copy(*key) for key in keys}) == 5
    assert copy(*keys[2]) == copy(*keys[2])
    online.stage, online.epoch = "head", 1
    together = online.training_batch(torch.tensor([5, 3, 3]), torch.tensor([0, 1, 2]))
    assert together[1].numpy().tobytes() == copy("head", 1, 1)


def test_three_draws_of_an_image_are_three_copies_in_training(registry: Registry) -> None:
    """Through the loop, with a sampler that draws the three images of a rare class several times an epoch."""
    rows = [Row(id=str(i), path="", label="", pixels=f"hash {i}") for i in range(12)]
    online = augment_online(pixels(), rows, registry.augmenter("alzheimer"), 0, 2)
    seen: list[bytes] = []
    module = linear()

    def forward(images: torch.Tensor) -> torch.Tensor:
        seen.extend(image.numpy().tobytes() for image in images)
        return module(images)

    for name in ("head", "last"):
        plan = stage(name, epochs=3, balance="sampler")
        loop.fit(module, forward, LabeledInputs(online, RARE), None, plan)
    assert len(seen) == 2 * 3 * 12 and len(set(seen)) == len(seen)


# ------------------------------------------------------------------------------------------------ class weights


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_each_part_of_a_mixed_image_has_the_weight_of_its_own_class(registry: Registry, smoothing: float) -> None:
    plan = stage(epochs=1, batch_size=12, balance="weights", label_smoothing=smoothing)
    mixed = augment_online(pixels(), [], registry.online_augmenter("mixup"), 0, 2)
    module, lines = linear(), []
    loop.fit(module, module, LabeledInputs(mixed, RARE), None, plan, on_epoch=lines.append)
    (indices,) = batches.epoch_batches(RARE, plan, 1)
    mixed.stage, mixed.epoch = "train", 1
    images, soft = mixed.mix(mixed.batch(indices), RARE[indices], 1)
    weights, logits = torch.tensor([12 / (2 * 9), 12 / (2 * 3)]), linear()(images)
    parts = [soft[:, label] * F.cross_entropy(logits, torch.full((12,), label), reduction="none") for label in (0, 1)]
    if not smoothing:
        expected = (weights[0] * parts[0] + weights[1] * parts[1]).mean().item()
        assert lines[0].train_loss == pytest.approx(expected, rel=1e-5)
    else:
        expected = F.cross_entropy(logits, soft, weights, label_smoothing=0.1).item()
        assert lines[0].train_loss == pytest.approx(expected, rel=1e-5)


def test_a_last_class_without_samples_has_no_weight() -> None:
    module, _ = fit(stage(epochs=1, balance="weights"), torch.zeros(12, dtype=torch.int64), val=False)
    assert all(parameter.isfinite().all() for parameter in module.parameters())


# ------------------------------------------------------------------------------------------------ the monitor


def area(scores: np.ndarray, positive: np.ndarray) -> float:
    """By all pairs."""
    higher = scores[positive][:, None] - scores[~positive][None, :]
    return float(((higher > 0) + 0.5 * (higher == 0)).mean())


def test_what_is_watched_is_what_it_says() -> None:
    logits, targets = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
    targets[:20] = 0
    losses, correct = F.cross_entropy(logits, targets, reduction="none"), (logits.argmax(1) == targets).float()
    by_class = [targets == label for label in range(3)]
    probabilities = torch.softmax(logits, 1).numpy()
    expected = {
        "loss": losses.mean(),
        "balanced-loss": torch.stack([losses[each].mean() for each in by_class]).mean(),
        "accuracy": -correct.mean(),
        "balanced-accuracy": -torch.stack([correct[each].mean() for each in by_class]).mean(),
        "auc": -np.mean([area(probabilities[:, k], each.numpy()) for k, each in enumerate(by_class)]),
    }
    for name, value in expected.items():
        assert validate(logits, targets, stage(monitor=name)).monitored == pytest.approx(float(value), rel=1e-5), name


def test_by_default_early_stopping_watches_the_loss_that_is_minimized() -> None:
    assert stage().monitor == "loss"
    assert stage(balance="weights").monitor == stage(balance="sampler").monitor == "balanced-loss"
    assert stage(balance="weights", monitor="auc").monitor == "auc"


def test_early_stopping_keeps_the_epoch_that_is_best_by_the_monitor() -> None:
    plan = stage(epochs=6, early_stopping=True, patience=6, monitor="accuracy", lr=0.02)
    module, lines = fit(plan)
    best = max(line.val_accuracy or 0.0 for line in lines)
    data = LabeledInputs(pixels(), RARE)
    start = loop.evaluate(linear(), linear(), data, plan).accuracy
    assert loop.evaluate(module, module, data, plan).accuracy == pytest.approx(max(best, start))


def test_an_auc_needs_two_classes() -> None:
    with pytest.raises(UsageError, match="one class"):
        validate(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), stage(monitor="auc"))
