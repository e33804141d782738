"""What augmenters and models are tested with: images, keyed generators, and watched global generators."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from toolbox.api.augmenter import ImageInfo, MixingAugmenter, Params
from toolbox.augment.encode import generator
from toolbox.testing.check import Problems
from toolbox.testing.subject import Subject

Images = npt.NDArray[np.uint8]
T = TypeVar("T")


def photos(count: int, height: int, width: int, channels: int, seed: int = 0) -> Images:
    """Synthetic photos, all different: uint8 ``[count, height, width, channels]``, from black to white.

    Slopes, a few bright and dark blobs, and a little noise.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    images = np.empty((count, height, width, channels), np.uint8)
    for image in images:
        for channel in range(channels):
            values = rng.uniform(40, 200) + rng.uniform(-60, 60) * x + rng.uniform(-60, 60) * y
            for centre_x, centre_y, size in rng.uniform((0, 0, 0.05), (1, 1, 0.3), (6, 3)):
                blob = np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / size**2)
                values = values + rng.uniform(-120, 120) * blob
            image[:, :, channel] = np.clip(values + rng.normal(0, 3, (height, width)), 0, 255).astype(np.uint8)
    return images


def draw(augmenter: Any, number: int, info: ImageInfo | None = None, count: int = 8) -> Params:
    """What ``augmenter`` draws for copy ``number`` of a source, or for batch ``number`` of ``count`` images."""
    info = info or ImageInfo(40, 52, 3)
    rng = generator(0, "conformance", number)
    if isinstance(augmenter, MixingAugmenter):
        return augmenter.draw_batch(rng, count, info)
    params: Params = augmenter.draw(rng, info)
    return params


def check_reproducible(
    subject: Subject,
    what: str,
    compute: Callable[[Any], T],
    equal: Callable[[T, T], bool] = operator.eq,
) -> Problems:
    """Compare ``compute`` of the component and of a second one, under different seeds of the global generators."""
    with global_seed(1) as changed:
        first = compute(subject.component)
    with global_seed(2):
        second = compute(subject.rebuild())
    if changed:
        yield f"{what} uses {' and '.join(changed)} global generator"
    if not equal(first, second):
        yield f"{what} gives another result the second time"


@contextmanager
def global_seed(seed: int) -> Iterator[list[str]]:
    """Seed the global generators of Python, NumPy and torch, and restore them afterwards.

    Yields a list that names, at the end, those that were drawn from or seeded meanwhile.
    """
    import torch

    states = _states()
    changed: list[str] = []
    try:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = _states()
        yield changed
        changed += [name for name, state in _states().items() if repr(state) != repr(before[name])]
    finally:
        random.setstate(states["Python's"])
        np.random.set_state(states["NumPy's"])
        torch.set_rng_state(torch.tensor(states["torch's"], dtype=torch.uint8))


def _states() -> dict[str, Any]:
    import torch

    name, key, *rest = np.random.get_state()
    return {
        "Python's": random.getstate(),
        "NumPy's": (name, np.asarray(key).tolist(), *rest),
        "torch's": torch.get_rng_state().tolist(),
    }
