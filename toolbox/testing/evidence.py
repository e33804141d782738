"""Predictions to check evaluators with: right, random and wrong ones, and those of a real model on real pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolbox.api.evaluator import Evidence, TrainedModel
from toolbox.api.images import as_array, resize_to_square
from toolbox.api.model import BuiltModel, Model, ModelRequest
from toolbox.data.source import open_source
from toolbox.plugin.registry import Registry
from toolbox.testing.pictures import Images, pictures

if TYPE_CHECKING:
    import torch

Probabilities = npt.NDArray[np.float64]

MODEL, DATASET, SIDE = "alzheimer-cnn:filters=4", "phantom:subjects=16,slices=2,size=32", 32
"""What gives evidence with images and a model: the embedded dataset, and a small model without weights of its own."""

NAMES = ("cat", "dog", "horse", "owl", "pig")


def evidence(
    targets: npt.ArrayLike, probabilities: Probabilities, grouped: bool = False, classes: Sequence[str] = ()
) -> Evidence:
    """Evidence for ``targets`` (``[N]``) and ``probabilities`` (``[N, K]``); three samples a group, if ``grouped``.

    There is one further column, ``site``, with the values ``north`` and ``south``.
    """
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
        images=_picture,
    )


def _picture(index: int) -> Image.Image:
    """A picture for any sample; read only by evaluators that look at images."""
    return Image.fromarray(pictures(1, SIDE, SIDE, 3, seed=index)[0])


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
    registry = Registry()
    source = open_source(DATASET, registry)
    samples = list(source.dataset.samples())
    images = [source.read(sample)[0].image for sample in samples]
    classes = sorted({sample.label for sample in samples})
    model = Untrained.built_by(registry.model(MODEL), len(classes))
    probabilities = model.probabilities(np.stack([model.prepared(image) for image in images]))
    found = evidence([classes.index(sample.label) for sample in samples], probabilities, classes=classes)
    return replace(
        found,
        ids=[sample.id for sample in samples],
        groups=[sample.group for sample in samples],
        columns={"slice": [sample.columns["slice"] for sample in samples]},
        images=lambda index: images[index],
        model=lambda: model,
    )


@dataclass(frozen=True)
class Untrained(TrainedModel):
    """A model as an evaluator gets it, with weights as they were drawn: what it says is right by chance."""

    built: BuiltModel
    size: int
    channels: int

    @staticmethod
    def built_by(model: Model, classes: int) -> Untrained:
        """``model`` for grey pictures, always the same."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            built = model.build(ModelRequest(classes=classes, channels=1, size=SIDE))
        built.module.eval()
        return Untrained(built, SIDE, 1)

    def prepared(self, image: Image.Image) -> Images:
        """See :class:`toolbox.api.evaluator.TrainedModel`."""
        return as_array(resize_to_square(image, self.size), self.channels)

    def inputs(self, images: Images) -> torch.Tensor:
        """See :class:`toolbox.api.evaluator.TrainedModel`."""
        import torch

        from toolbox.training.inputs import Pixels

        pixels = Pixels(images, self.built.mean, self.built.std, torch.device("cpu"))
        return pixels.batch(torch.arange(len(images)))

    def probabilities(self, images: Images) -> Probabilities:
        """See :class:`toolbox.api.evaluator.TrainedModel`."""
        import torch

        with torch.no_grad():
            values: Probabilities = torch.softmax(self.built.module(self.inputs(images)).double(), 1).numpy()
        return values
