"""Optimisers, learning rates by their formulas, class balance, label smoothing: each against what it says it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from toolbox.api.errors import UsageError
from toolbox.api.model import Parts
from toolbox.settings.schema import LastSettings, Settings, TrainingSettings
from toolbox.training import batches, loop, schedules, stages
from toolbox.training.inputs import LabeledInputs, Pixels
from toolbox.training.stages import Stage


def make_stage(**changes: object) -> Stage:
    defaults = {"epochs": 10, "batch_size": 4, "lr": 0.2, "optimizer": "sgd", "weight_decay": 0, "momentum": 0}
    return Stage("train", TrainingSettings.model_validate({**defaults, **changes}))


FORMULAS: list[tuple[Stage, Callable[[int, int], float]]] = [
    (make_stage(), lambda epoch, step: 1.0),
    (make_stage(schedule="cosine"), lambda epoch, step: 0.5 * (1 + math.cos(math.pi * epoch / 10))),
    (make_stage(schedule="exponential", decay=0.05), lambda epoch, step: 0.95**epoch),
    (make_stage(schedule="inverse-time", decay=0.002), lambda epoch, step: 1 / (1 + 0.002 * step)),
    (make_stage(schedule="step", step_epochs=3, step_factor=0.5), lambda epoch, step: 0.5 ** (epoch // 3)),
    (make_stage(warmup_epochs=2), lambda epoch, step: min(1, (step + 1) / 14)),
    (make_stage(warmup_epochs=1, warmup_steps=3), lambda epoch, step: min(1, (step + 1) / 10)),
    (
        make_stage(schedule="cosine", warmup_steps=5),
        lambda epoch, step: min(1, (step + 1) / 5) * 0.5 * (1 + math.cos(math.pi * epoch / 10)),
    ),
]


@pytest.mark.parametrize(("stage", "formula"), FORMULAS)
def test_each_schedule_follows_its_formula(stage: Stage, formula: Callable[[int, int], float]) -> None:
    optimizer = schedules.make_optimizer(nn.Linear(1, 1), stage)
    for step in range(70):  # seven an epoch
        lr = schedules.set_lr(optimizer, stage, step, 7)
        assert lr == optimizer.param_groups[0]["lr"] == pytest.approx(0.2 * formula(step // 7, step))


def test_the_studys_decay_is_what_keras_makes_of_it() -> None:
    """Keras 2's SGD: ``lr * 1 / (1 + decay * iterations)``, iterations counted from 0 before each update."""
    stage = make_stage(schedule="inverse-time", decay=0.002, lr=0.1)
    per_epoch = math.ceil(492 / 10)
    rates = [stage.settings.lr * schedules.lr_factor(stage, step, per_epoch) for step in (0, 1, 50 * per_epoch)]
    assert rates == pytest.approx([0.1, 0.1 / 1.002, 0.1 / (1 + 0.002 * 2500)])


@given(
    schedule=st.sampled_from(["constant", "exponential", "inverse-time", "cosine", "step"]),
    decay=st.floats(0.001, 1),
    warm=st.integers(0, 40),
    epochs=st.integers(1, 30),
    per_epoch=st.integers(1, 20),
)
def test_a_rate_never_rises_after_the_warm_up_nor_leaves_its_bounds(
    schedule: str, decay: float, warm: int, epochs: int, per_epoch: int
) -> None:
    stage = make_stage(schedule=schedule, decay=decay, warmup_steps=warm, epochs=epochs)
    rates = [schedules.lr_factor(stage, step, per_epoch) for step in range(epochs * per_epoch)]
    assert all(0 <= rate <= 1 for rate in rates) and rates[0] > 0
    assert all(later <= earlier for earlier, later in zip(rates[warm:], rates[warm + 1 :], strict=False))


def test_the_rate_reaches_the_weights_step_by_step() -> None:
    """One weight, a constant gradient, plain SGD: the way it goes is the sum of the rates."""
    stage = make_stage(schedule="inverse-time", decay=0.3, lr=0.5)
    weight = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(weight.weight)
    optimizer = schedules.make_optimizer(weight, stage)
    for step in range(9):
        schedules.set_lr(optimizer, stage, step, 3)
        optimizer.zero_grad()
        (-weight.weight).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert weight.weight.item() == pytest.approx(sum(0.5 / (1 + 0.3 * step) for step in range(9)))


@pytest.mark.parametrize(
    ("optimizer", "momentum", "nesterov", "reference"),
    [
        ("adam", 0.9, False, lambda p: torch.optim.Adam(p, 0.2, weight_decay=0.1)),
        ("adamw", 0.9, False, lambda p: torch.optim.AdamW(p, 0.2, weight_decay=0.1)),
        ("sgd", 0.0, False, lambda p: torch.optim.SGD(p, 0.2, weight_decay=0.1)),
        ("sgd", 0.8, False, lambda p: torch.optim.SGD(p, 0.2, 0.8, weight_decay=0.1)),
        ("sgd", 0.8, True, lambda p: torch.optim.SGD(p, 0.2, 0.8, weight_decay=0.1, nesterov=True)),
    ],
)
def test_each_optimiser_is_torchs(
    optimizer: str, momentum: float, nesterov: bool, reference: Callable[..., torch.optim.Optimizer]
) -> None:
    stage = make_stage(optimizer=optimizer, momentum=momentum, nesterov=nesterov, weight_decay=0.1)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    for module, each in ((ours, schedules.make_optimizer(ours, stage)), (theirs, reference(theirs.parameters()))):
        for step in range(4):
            each.zero_grad()
            module(torch.ones(1, 3) * step).square().sum().backward()
            each.step()
    assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)


def test_settings_that_make_no_sense_together() -> None:
    for settings, reason in (
        (TrainingSettings(schedule="exponential"), "needs a decay"),
        (TrainingSettings(schedule="inverse-time"), "needs a decay"),
        (TrainingSettings(optimizer="sgd", nesterov=True, momentum=0), "needs momentum"),
    ):
        with pytest.raises(UsageError, match=reason):
            Stage("train", settings)
    settings = Settings(
        training=TrainingSettings(warmup_steps=5), last=LastSettings(unfreeze="last", decay=0.1, layer_decay=0.5)
    )
    last = stages.plan_stages(settings, True)[1]
    assert (last.settings.warmup_steps, last.settings.decay, last.settings.lr) == (5, 0.1, 0.0001)
    assert last.layer_decay == 0.5 and last.settings.batch_norm == "frozen"


# ------------------------------------------------------------------------------------------------------ classes


RARE = torch.tensor([0] * 90 + [1] * 9 + [3])


def test_balanced_class_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    weights = batches.class_weights(RARE, make_stage(balance="weights"))
    theirs = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=RARE.numpy())
    assert weights[[0, 1, 3]].tolist() == pytest.approx(theirs.tolist())
    assert weights[RARE].mean().item() == pytest.approx(1)
    assert batches.class_weights(RARE, make_stage()).tolist() == [1, 1, 1, 1]


def test_a_balanced_sampler_draws_each_class_as_often() -> None:
    stage = make_stage(balance="sampler")
    drawn = Counter(
        RARE[
            torch.cat([batch for epoch in range(1, 61) for batch in batches.epoch_batches(RARE, stage, epoch)])
        ].tolist()
    )
    assert sum(drawn.values()) == 6000 and set(drawn) == {0, 1, 3}
    assert all(abs(count - 2000) < 150 for count in drawn.values())  # 4 standard deviations
    first = torch.cat(batches.epoch_batches(RARE, stage, 1))
    assert torch.equal(first, torch.cat(batches.epoch_batches(RARE, stage, 1)))
    assert not torch.equal(first, torch.cat(batches.epoch_batches(RARE, stage, 2)))


class _Bias(nn.Module):
    """Logits that don't look at the image: what they should be can be worked out."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


@pytest.mark.parametrize(
    ("changes", "shares"),
    [
        ({}, [0.9, 0.1]),
        ({"balance": "weights"}, [0.5, 0.5]),
        ({"balance": "sampler"}, [0.5, 0.5]),
        ({"label_smoothing": 0.2}, [0.82, 0.18]),
    ],
)
def test_what_is_learned_without_looking(changes: dict[str, object], shares: list[float]) -> None:
    """The best constant answer: the classes' shares, balanced or smoothed."""
    targets = torch.tensor([0] * 18 + [1] * 2)
    images = Pixels(np.zeros((20, 8, 8, 1), np.uint8), (0.5,), (0.5,), torch.device("cpu"))
    stage = make_stage(batch_size=20, lr=1, epochs=200, schedule="cosine", **changes)
    module, lines = _Bias(2), []
    loop.fit(module, module, LabeledInputs(images, targets), None, stage, on_epoch=lines.append)
    assert module.logits.softmax(0).tolist() == pytest.approx(shares, abs=0.05 if "sampler" in str(changes) else 0.01)
    if changes == {"label_smoothing": 0.2}:
        expected = F.cross_entropy(module(torch.zeros(20, 1)), targets, label_smoothing=0.2).item()
        assert lines[-1].train_loss == pytest.approx(expected, abs=1e-4)


# ------------------------------------------------------------------------------------------------------- layers


def test_learning_rates_fall_from_block_to_block() -> None:
    module = nn.Sequential(*(nn.Linear(1, 1) for _ in range(4)))
    names = [frozenset({f"{index}.weight", f"{index}.bias"}) for index in range(4)]
    parts = Parts(names[0] | names[1], names[2], names[3], (names[0], names[1], names[2]))
    scales = stages.layer_scales(parts, 0.5)
    optimizer = schedules.make_optimizer(module, make_stage(), scales)
    assert schedules.set_lr(optimizer, make_stage(), 0, 1) == 0.2
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert [rates[id(layer.weight)] for layer in module] == pytest.approx([0.025, 0.05, 0.1, 0.2])  # type: ignore[union-attr]
    assert stages.layer_scales(replace(parts, blocks=()), 0.5)["0.bias"] == 0.25
