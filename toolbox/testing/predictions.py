"""What evaluators are tested with: right, random and wrong predictions, and those of a small model on real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolbox.api.evaluator import Evidence
from toolbox.api.model import ModelRequest
from toolbox.data.source import open_source
from toolbox.plugin.registry import Registry
from toolbox.testing.inputs import photos

if TYPE_CHECKING:
    from toolbox.models.predict import Predictor

Targets = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]

MODEL, DATASET, SIDE = "alzheimer-cnn:filters=4", "phantom:subjects=12,slices=1,size=32", 32
"""The source of evidence with images and a model: the embedded dataset, and a small untrained model."""

CLASSES = ("cat", "dog", "horse", "owl", "pig")


def make_evidence(targets: npt.ArrayLike, probabilities: Probabilities, grouped: bool = False) -> Evidence:
    """Evidence for ``targets`` (``[N]``) and ``probabilities`` (``[N, K]``); three samples a group if ``grouped``.

    It has one further column, ``site``, with the values ``north`` and ``south``.
    """
    targets = np.asarray(targets, np.int64)
    count = len(targets)
    return Evidence(
        ids=[f"sample-{number:04d}" for number in range(count)],
        targets=targets,
        probabilities=probabilities,
        classes=CLASSES[: probabilities.shape[1]],
        groups=[f"group-{number // 3}" for number in range(count)] if grouped else [""] * count,
        columns={"site": ["north" if number % 3 else "south" for number in range(count)]},
        seed=1,
        images=lambda index: Image.fromarray(photos(1, SIDE, SIDE, 3, seed=index)[0]),
    )


def balanced_targets(count: int, classes: int) -> Targets:
    """``count`` targets, each class in turn."""
    return np.arange(count, dtype=np.int64) % classes


def certain(answers: Targets, classes: int) -> Probabilities:
    """Probability 1 for each answer."""
    return np.eye(classes)[answers]


def random(count: int, classes: int, seed: int = 0) -> Probabilities:
    """Answers independent of the targets: uniform over the distributions."""
    return np.random.default_rng(seed).dirichlet(np.ones(classes), count)


def ordinary_evidence(count: int, classes: int, grouped: bool = False) -> Evidence:
    """What a model that has learned something predicts, with a validation split."""
    targets = balanced_targets(count, classes)
    probabilities = 0.25 * certain(targets, classes) + 0.75 * random(count, classes)
    validation = make_evidence(targets[: count // 2], random(count // 2, classes, seed=1), grouped)
    return replace(make_evidence(targets, probabilities, grouped), validation=replace(validation, split="val"))


def reorder(evidence: Evidence, order: Sequence[int]) -> Evidence:
    """The samples at ``order``, and the validation split backwards."""
    images, validation = evidence.images, evidence.validation
    return replace(
        evidence,
        ids=[evidence.ids[index] for index in order],
        targets=evidence.targets[list(order)],
        probabilities=evidence.probabilities[list(order)],
        groups=[evidence.groups[index] for index in order] if evidence.groups else (),
        columns={name: [values[index] for index in order] for name, values in evidence.columns.items()},
        images=None if images is None else lambda index: images(order[index]),
        validation=None if validation is None else reorder(validation, range(len(validation.ids))[::-1]),
    )


def real_evidence() -> Evidence:
    """A small model's predictions on the embedded dataset, with its images and the model itself.

    For evaluators that look at images (``needs_images``) or query the model (``needs_model``).
    """
    source = open_source(DATASET, registry := Registry())
    samples = list(source.dataset.samples())
    images = [source.read(sample)[0].image for sample in samples]
    classes = sorted({sample.label for sample in samples})
    model = _build_model(registry, classes)
    probabilities = model.probabilities(np.stack([model.prepared(image) for image in images]))
    return replace(
        make_evidence([classes.index(sample.label) for sample in samples], probabilities),
        classes=classes,
        ids=[sample.id for sample in samples],
        groups=[sample.group for sample in samples],
        columns={"slice": [sample.columns["slice"] for sample in samples]},
        images=lambda index: images[index],
        model=lambda: model,
    )


def _build_model(registry: Registry, classes: Sequence[str]) -> Predictor:
    """:data:`MODEL` for grey images with its initial weights, always the same."""
    import torch

    from toolbox.models.predict import Predictor
    from toolbox.runs.folder import Run

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = registry.model(MODEL).build(ModelRequest(classes=len(classes), channels=1, size=SIDE))
    built.module.eval()
    return Predictor(Run(Path("conformance")), built, tuple(classes), SIDE, 1, torch.device("cpu"), batch_size=32)
