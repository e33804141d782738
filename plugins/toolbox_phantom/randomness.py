"""Random numbers that depend on a name alone: the same on every machine, in any order, under any numpy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def stream(*key: int | str) -> np.random.RandomState:
    """The random numbers that belong to ``key``.

    Philox keyed by the SHA-256 of the key's text, behind numpy's ``RandomState``: only its distributions are
    promised never to change (NEP 19), and pictures are told apart by the hash of their pixels.
    """
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.RandomState(np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8")))


class SmoothField:
    """A smooth random surface on [-1, 1]²: a cosine series with Gaussian coefficients.

    It is a function, not a picture, so every resolution samples the same surface.

    Parameters
    ----------
    rng: where the coefficients come from.
    detail: waves across the field at which the spectrum has fallen to ``exp(-1/2)``; larger is finer.
    """

    def __init__(self, rng: np.random.RandomState, detail: float) -> None:
        waves = np.arange(int(np.ceil(5 * detail)) + 1)  # half waves across the field
        fall = np.exp(-((waves[:, None] ** 2 + waves[None, :] ** 2) / (8 * detail**2)))
        coefficients = rng.standard_normal(fall.shape) * fall
        coefficients[0, 0] = 0.0  # a constant is nobody's surface
        self.waves = waves
        self.coefficients = coefficients / np.sqrt(np.sum(fall**2) / 4)

    def __call__(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values of about unit variance, float64 ``[len(y), len(x)]``."""
        across = np.cos(np.pi / 2 * np.outer(self.waves, x + 1))
        down = np.cos(np.pi / 2 * np.outer(y + 1, self.waves))
        return np.asarray(down @ self.coefficients @ across)
