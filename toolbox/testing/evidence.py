"""Predictions to check evaluators with: right, random and wrong ones, and those of a real model on real pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from toolbox.data.images import as_array, squashed
from toolbox.plugin.protocols import Evidence, ModelRequest
from toolbox.plugin.registry import Registry

Probabilities = npt.NDArray[np.float64]

MODEL, DATASET, SIDE = "alzheimer-cnn:filters=4", "phantom:subjects=16,slices=2,size=32", 32
"""What gives evidence with images and a model: the embedded dataset, and a small model without weights of its own."""

NAMES = ("cat", "dog", "horse", "owl", "pig")


def evidence(
    targets: npt.ArrayLike, probabilities: Probabilities, grouped: bool = False, classes: Sequence[str] = ()
) -> Evidence:
    """Evidence for ``targets`` (``[N]``) and ``probabilities`` (``[N, K]``); three samples a group, if ``grouped``."""
    targets = np.asarray(targets, np.int64)
    count = len(targets)
    return Evidence(
        ids=[f"sample-{number:04d}" for number in range(count)],
        targets=targets,
        probabilities=probabilities,
        classes=classes or NAMES[: probabilities.shape[1]],
        groups=[f"group-{number // 3}" for number in range(count)] if grouped else [""] * count,
        columns={"site": ["north" if number % 3 else "south" for number in range(count)]},
        seed=1,
    )


def balanced(count: int, classes: int) -> npt.NDArray[np.int64]:
    """``count`` targets, class after class in turn."""
    return np.arange(count, dtype=np.int64) % classes


def certain(answers: npt.NDArray[np.int64], classes: int) -> Probabilities:
    """Probability 1 for each answer."""
    return np.eye(classes)[answers]


def random(count: int, classes: int, seed: int = 0) -> Probabilities:
    """Answers that have nothing to do with the targets: uniform over the distributions."""
    return np.random.default_rng(seed).dirichlet(np.ones(classes), count)


def ordinary(count: int, classes: int, grouped: bool = False, seed: int = 0) -> Evidence:
    """What a model that has learnt something gives; with a validation split of its own."""
    targets = balanced(count, classes)
    probabilities = 0.25 * certain(targets, classes) + 0.75 * random(count, classes, seed)
    found = evidence(targets, probabilities, grouped)
    half = evidence(targets[: count // 2], random(count // 2, classes, seed + 1), grouped)
    return replace(found, validation=replace(half, split="val"))


def reordered(given: Evidence, order: Sequence[int]) -> Evidence:
    """The same samples in another order."""
    images, chosen_on = given.images, given.validation
    if chosen_on is not None:
        chosen_on = reordered(chosen_on, range(len(chosen_on.ids))[::-1])
    return replace(
        given,
        ids=[given.ids[index] for index in order],
        targets=given.targets[list(order)],
        probabilities=given.probabilities[list(order)],
        groups=[given.groups[index] for index in order] if given.groups else (),
        columns={name: [values[index] for index in order] for name, values in given.columns.items()},
        images=None if images is None else lambda index: images(order[index]),
        validation=chosen_on,
    )


def real() -> Evidence:
    """A small model's predictions on the embedded dataset, with its images and the model itself.

    For evaluators that look at images (``needs_images``) or ask the model (``needs_model``).
    """
    import torch

    registry = Registry()
    dataset = registry.dataset(DATASET)
    samples = list(dataset.samples())
    loaded: Mapping[int, Any] = {number: dataset.load(sample) for number, sample in enumerate(samples)}  # type: ignore[attr-defined]
    classes = sorted({sample.label for sample in samples})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = registry.model(MODEL).build(ModelRequest(classes=len(classes), channels=1, size=SIDE))
    built.module.eval()
    pixels = np.stack([as_array(squashed(loaded[number], SIDE), 1) for number in range(len(samples))])
    with torch.no_grad():
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        probabilities = torch.softmax(built.module(images).double(), 1).numpy()
    found = evidence([classes.index(sample.label) for sample in samples], probabilities, classes=classes)
    return replace(
        found,
        ids=[sample.id for sample in samples],
        groups=[sample.group for sample in samples],
        columns={"slice": [sample.columns["slice"] for sample in samples]},
        images=lambda index: loaded[index],
        model=lambda: built,
    )
