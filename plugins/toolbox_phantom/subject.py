"""A made-up person: what atrophy has done to the brain, and all by which one head differs from another.

Lengths are in halves of the picture's side throughout; a head is about 1.8 long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toolbox_phantom.randomness import SmoothField, stream

if TYPE_CHECKING:
    import numpy.typing as npt

AGE = 0.6
"""Correlation of every measure of atrophy with one that stands for age and has nothing to do with the class."""

EFFECT = {"ventricles": 2.0, "cortex": 1.2, "sulci": 1.2}
"""Distance between the classes' means at separation 1, in standard deviations within a class."""


@dataclass(frozen=True, slots=True)
class Atrophy:
    """What tells the classes apart, with overlap.

    ``ventricles``: factor on the width of the lateral ventricles; ``cortex``: thickness of the grey ribbon;
    ``sulci``: half the width of a furrow.
    """

    ventricles: float
    cortex: float
    sulci: float

    @classmethod
    def draw(cls, rng: np.random.RandomState, shift: float) -> Atrophy:
        """One subject's. ``shift``: half the separation for AD, minus half the separation for MCI."""
        age, *own = rng.standard_normal(1 + len(EFFECT))
        within = AGE * age + np.sqrt(1 - AGE**2) * np.array(own)
        ventricles, cortex, sulci = np.clip(within + shift * np.array(list(EFFECT.values())), -3, 3)
        return cls(
            ventricles=float(np.exp(0.24 * ventricles)),
            cortex=float(0.050 * np.exp(-0.13 * cortex)),
            sulci=float(0.013 * np.exp(0.30 * sulci)),
        )


@dataclass(frozen=True, slots=True)
class Folding:
    """A pattern of furrows, for N of them around the brain; pairs are mixed by the height of the slice.

    ``place``, ``bend``: float64 ``[N]``, offset from an even spacing at the surface, and what is added on the
    way in, as shares of the spacing. ``depth``: float64 ``[2, N]``, of unit variance. ``warp``: displacement
    across and down.
    """

    place: npt.NDArray[np.float64]
    bend: npt.NDArray[np.float64]
    depth: npt.NDArray[np.float64]
    warp: tuple[tuple[SmoothField, SmoothField], tuple[SmoothField, SmoothField]]

    @classmethod
    def draw(cls, rng: np.random.RandomState) -> Folding:
        """One subject's."""
        count = 2 * int(rng.randint(14, 18))
        return cls(
            place=rng.uniform(-0.22, 0.22, count),
            bend=rng.uniform(-0.3, 0.3, count),
            depth=rng.standard_normal((2, count)),
            warp=(
                (SmoothField(rng, 2.5), SmoothField(rng, 2.5)),
                (SmoothField(rng, 2.5), SmoothField(rng, 2.5)),
            ),
        )


@dataclass(frozen=True, slots=True)
class Head:
    """What makes a subject recognisable and says nothing of the class.

    ``axes``: half width and half length; ``harmonics``: float64 ``[2, 4]``, cosine and sine of the outline's
    waves 2 to 5; ``angle`` in radians; ``asymmetry``: by what share one ventricle is the wider; ``midline``:
    its deviation; ``level``: how much higher than planned the slices lie; ``grey``, ``white``: intensities;
    ``noise``: standard deviation in each channel of the receiver.
    """

    axes: tuple[float, float]
    harmonics: npt.NDArray[np.float64]
    angle: float
    centre: tuple[float, float]
    scalp: float
    skull: float
    folding: Folding
    asymmetry: float
    midline: float
    level: float
    grey: float
    white: float
    bias: SmoothField
    bias_strength: float
    texture: SmoothField
    noise: float

    @classmethod
    def draw(cls, rng: np.random.RandomState) -> Head:
        """One subject's."""
        return cls(
            axes=(rng.uniform(0.71, 0.79), rng.uniform(0.87, 0.94)),
            harmonics=rng.standard_normal((2, 4)) * np.array([0.008, 0.007, 0.005, 0.004]),
            angle=np.radians(3.0) * rng.standard_normal(),
            centre=(0.015 * rng.standard_normal(), 0.015 * rng.standard_normal()),
            scalp=rng.uniform(0.035, 0.06),
            skull=rng.uniform(0.05, 0.075),
            folding=Folding.draw(rng),
            asymmetry=0.06 * rng.standard_normal(),
            midline=0.012 * rng.standard_normal(),
            level=0.06 * rng.standard_normal(),
            grey=rng.uniform(0.45, 0.52),
            white=rng.uniform(0.76, 0.84),
            bias=SmoothField(rng, 0.5),
            bias_strength=rng.uniform(0.03, 0.08),
            texture=SmoothField(rng, 5.0),
            noise=rng.uniform(0.015, 0.028),
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject of one dataset."""

    head: Head
    atrophy: Atrophy

    @classmethod
    def draw(cls, seed: int, number: int, shift: float) -> Subject:
        """Subject ``number`` of the dataset with ``seed``; for ``shift`` see :meth:`Atrophy.draw`."""
        return cls(
            head=Head.draw(stream("phantom", seed, number, "head")),
            atrophy=Atrophy.draw(stream("phantom", seed, number, "atrophy"), shift),
        )
