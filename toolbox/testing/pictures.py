"""Pictures, keys and a global randomness to check with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from toolbox.api.augmenter import ImageInfo, MixingAugmenter, Params
from toolbox.augment.encode import generator

Images = npt.NDArray[np.uint8]


def pictures(count: int, height: int, width: int, channels: int, seed: int = 0) -> Images:
    """``count`` pictures like photos, all different: uint8 ``[count, height, width, channels]``.

    Slopes, a few bright and dark blobs, and a little noise; from black to white.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    found = np.empty((count, height, width, channels), np.uint8)
    for picture in found:
        for channel in range(channels):
            values = rng.uniform(40, 200) + rng.uniform(-60, 60) * x + rng.uniform(-60, 60) * y
            for centre_x, centre_y, size in rng.uniform((0, 0, 0.05), (1, 1, 0.3), (6, 3)):
                blob = np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / size**2)
                values = values + rng.uniform(-120, 120) * blob
            values = values + rng.normal(0, 3, (height, width))
            picture[:, :, channel] = np.clip(values, 0, 255).astype(np.uint8)
    return found


def key(number: int) -> np.random.Generator:
    """The generator that the core would hand to copy ``number`` of some source."""
    return generator(0, "conformance", number)


def drawn(augmenter: Any, number: int, info: ImageInfo | None = None) -> Params:
    """What ``augmenter`` draws for a copy (or for a batch of eight)."""
    info = info or ImageInfo(40, 52, 3)
    if isinstance(augmenter, MixingAugmenter):
        return augmenter.draw_batch(key(number), 8, info)
    params: Params = augmenter.draw(key(number), info)
    return params


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The generators that a process shares (Python's, NumPy's, torch's) begin at ``seed``, and are put back afterwards.

    What gives the same under two seeds does not draw from them.
    """
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextmanager
def watched(found: list[str]) -> Iterator[None]:
    """Adds to ``found`` the names of the shared generators that were drawn from or seeded meanwhile."""
    import torch

    def now() -> dict[str, Any]:
        numpy_state = np.random.get_state(legacy=False)
        return {
            "Python's": random.getstate(),
            "NumPy's": repr((numpy_state["state"]["key"].tobytes(), numpy_state["state"]["pos"])),
            "torch's": torch.get_rng_state().numpy().tobytes(),
        }

    before = now()
    yield
    found += [name for name, state in now().items() if state != before[name]]
