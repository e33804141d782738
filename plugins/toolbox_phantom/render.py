"""Draws an axial slice of a subject as a T1-weighted scan shows it: fat and white matter bright, fluid dark.

Shapes are signed distances, and a tissue's edge is a ramp as wide as a pixel, so that thicknesses act below the
size of a pixel. All is float64, in which machines differ by far less than rounding to bytes lets through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from toolbox_phantom.subject import Folding, Head, Subject

if TYPE_CHECKING:
    import numpy.typing as npt

    Line = npt.NDArray[np.float64]
    Plane = npt.NDArray[np.float64]

FLUID, BONE, MARROW, SCALP = 0.12, 0.05, 0.25, 0.88
"""Intensities; those of grey and white matter are the subject's own."""

LATERAL_VENTRICLE = np.array(
    [
        [
            (0.19, -0.45, 0.012),
            (0.13, -0.34, 0.062),
            (0.07, -0.16, 0.044),
            (0.10, 0.08, 0.020),
            (0.22, 0.26, 0.058),
            (0.27, 0.42, 0.050),
            (0.25, 0.56, 0.008),
        ],
        [
            (0.13, -0.32, 0.014),
            (0.10, -0.22, 0.044),
            (0.085, -0.08, 0.046),
            (0.09, 0.06, 0.044),
            (0.13, 0.19, 0.050),
            (0.17, 0.28, 0.036),
            (0.19, 0.36, 0.012),
        ],
    ]
)
"""Its axis at level 0 and at level 1, from the frontal to the occipital horn: points (side, v, radius)."""

NUCLEI = (
    (0.16, -0.24, 0.050, 0.12, 0.35, 1.0, 0.8),  # caudate
    (0.31, -0.08, 0.055, 0.19, 0.20, 0.6, 0.9),  # putamen
    (0.13, 0.15, 0.090, 0.14, -0.45, 0.5, 0.9),  # thalamus
)
"""Deep grey matter: centre (side, v), half axes, tilt in radians, level of the top, share of grey."""


@dataclass(frozen=True)
class Frame:
    """The grid of one slice of n × n pixels.

    ``x``, ``y``: float64 ``[n]``, where columns and rows lie once head and slice have moved. ``u`` (to the
    right) and ``v`` (to the back): float64 ``[n, n]``, the head's own coordinates. ``bent_u``, ``bent_v``: what
    they become where the brain's growth was uneven. ``side``: distance from the plane between the hemispheres,
    positive on the right. ``edge``: width of an edge. ``level``: height of the slice, from about 0 (third
    ventricle) to 1 (roof of the lateral ventricles).
    """

    x: Line
    y: Line
    u: Plane
    v: Plane
    bent_u: Plane
    bent_v: Plane
    side: Plane
    edge: float
    level: float

    def inside(self, distance: Plane) -> Plane:
        """1 where ``distance`` is negative, 0 where it is positive, a ramp one edge wide between."""
        return np.clip(0.5 - distance / self.edge, 0.0, 1.0)


def render(subject: Subject, level: float, size: int, rng: np.random.RandomState) -> npt.NDArray[np.uint8]:
    """A slice as uint8 ``[size, size]``.

    ``level``: see :class:`Frame`; ``rng``: for what differs from slice to slice (movement and noise).
    """
    head = subject.head
    frame = _frame(head, level, size, 0.008 * rng.standard_normal(2))
    picture = _tissues(subject, frame)
    picture *= 1 + head.bias_strength * head.bias(frame.x, frame.y)
    noise = head.noise * rng.standard_normal((2, size, size))
    magnitude: Plane = np.hypot(picture + noise[0], noise[1])  # of a complex signal: Rician noise
    return np.rint(255 * np.clip(magnitude, 0, 1)).astype(np.uint8)


def _frame(head: Head, level: float, size: int, movement: Line) -> Frame:
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = axis - head.centre[0] - movement[0], axis - head.centre[1] - movement[1]
    level += head.level
    narrowing = 1 - 0.05 * max(level, 0.0) ** 2
    cos, sin = np.cos(head.angle) / narrowing, np.sin(head.angle) / narrowing
    u = cos * x[None, :] + sin * y[:, None]
    v = cos * y[:, None] - sin * x[None, :]
    across, down = (_at(level, low(x, y), high(x, y)) for low, high in head.folding.warp)
    return Frame(
        x=x,
        y=y,
        u=u,
        v=v,
        bent_u=u + 0.045 * across,
        bent_v=v + 0.045 * down,
        side=u + 0.01 * across - head.midline * np.cos(2 * v),
        edge=max(3.2 / size, 0.022),
        level=level,
    )


def _at(level: float, low: Plane, high: Plane) -> Plane:
    """Turns one pattern into another as the level rises, without a change of variance."""
    return math.cos(0.8 * level) * low + math.sin(0.8 * level) * high


def _tissues(subject: Subject, frame: Frame) -> Plane:
    head = subject.head
    depth = _depth(head, frame)
    inner = depth - head.scalp - head.skull  # below the inner face of the skull
    marrow = np.abs(inner + head.skull / 2) - head.skull / 5
    picture = SCALP * frame.inside(-depth)
    picture += (BONE - picture) * frame.inside(head.scalp - depth)
    picture += (MARROW - picture) * frame.inside(marrow)
    picture += (_brain(subject, frame, inner) - picture) * frame.inside(-inner)
    return picture


def _depth(head: Head, frame: Frame) -> Plane:
    """How far below the surface of the scalp, measured towards the centre."""
    across, along = frame.u / head.axes[0], frame.v / head.axes[1]
    unit = np.maximum(np.hypot(across, along), 1e-9)
    front, right = -along / unit, across / unit
    outline = 1 - 0.05 * front * right**2  # temples are narrower than the back of the head
    turn = front + 1j * right
    wave = turn
    for even, odd in head.harmonics.T:
        wave = wave * turn
        outline += even * wave.real + odd * wave.imag
    return np.hypot(frame.u, frame.v) * (outline / unit - 1)


def _brain(subject: Subject, frame: Frame, inner: Plane) -> Plane:
    head, atrophy = subject.head, subject.atrophy
    ventricles = _ventricles(subject, frame)
    surface = _surface(subject, frame, inner)
    surface = np.maximum(surface, np.minimum(inner, 0.1 - ventricles))  # furrows end short of the ventricles
    grey = np.maximum(frame.inside(surface - atrophy.cortex), _nuclei(subject, frame))
    picture = (head.white + (head.grey - head.white) * grey) * (1 + 0.02 * head.texture(frame.x, frame.y))
    return picture + (FLUID - picture) * frame.inside(np.minimum(surface, ventricles))


def _surface(subject: Subject, frame: Frame, inner: Plane) -> Plane:
    """Distance from the brain's folded surface, negative in the fluid outside it and in its furrows."""
    half = subject.atrophy.sulci
    # Between the hemispheres, but not where the corpus callosum joins them.
    fissure = np.hypot(frame.side, np.maximum(0.0, np.minimum(frame.v + 0.45, 0.40 - frame.v)))
    furrows = _furrows(subject.head.folding, frame, inner) - half * np.clip(1 - inner / 0.1, 0, 1)
    return np.minimum(np.minimum(furrows, fissure), inner - 0.014) - half


def _furrows(folding: Folding, frame: Frame, inner: Plane) -> Plane:
    """Distance from the nearest of the furrows, which run inwards from the surface."""
    count = len(folding.place)
    place = np.arctan2(frame.bent_u, -frame.bent_v) * (count / (2 * np.pi))
    nearest = np.rint(place)
    index = nearest.astype(np.intp) % count
    shallow = -0.1 + 1.3 * (np.arange(count) % 2)  # every other one
    depth = 0.05 + 0.30 / (1 + np.exp(shallow - 1.6 * _at(frame.level, *folding.depth)))
    off = place - nearest - folding.place[index] - folding.bend[index] * (inner / 0.3)
    lateral = off * np.hypot(frame.bent_u, frame.bent_v) * (2 * np.pi / count)
    return np.hypot(lateral, np.maximum(inner - depth[index], 0.0))


def _ventricles(subject: Subject, frame: Frame) -> Plane:
    """Distance from the lateral ventricles, and low down from the third; negative inside."""
    width = subject.atrophy.ventricles
    level = min(max(frame.level, 0.0), 1.0)
    axis = LATERAL_VENTRICLE[0] * (1 - level) + LATERAL_VENTRICLE[1] * level
    axis[:, 0] += 0.5 * axis[:, 2] * (width - 1)  # a wide one has grown away from the midline
    side, v = np.abs(frame.side), frame.v
    width_here = width * (1 + subject.head.asymmetry * np.sign(frame.side))
    distance = np.full_like(side, np.inf)
    for (from_u, from_v, from_radius), (to_u, to_v, to_radius) in pairwise(axis):
        du, dv = to_u - from_u, to_v - from_v
        share = np.clip(((side - from_u) * du + (v - from_v) * dv) / (du**2 + dv**2), 0.0, 1.0)
        away = np.hypot(side - from_u - share * du, v - from_v - share * dv)
        distance = np.minimum(distance, away - (from_radius + share * (to_radius - from_radius)) * width_here)
    if level < 0.45:
        third = np.hypot(side, np.maximum(np.abs(v - 0.10) - 0.08, 0.0))
        distance = np.minimum(distance, third - 0.018 * width * (1 - level / 0.45))
    return distance


def _nuclei(subject: Subject, frame: Frame) -> Plane:
    """Share of grey matter deep inside, both sides."""
    side = np.abs(frame.side) - 0.04 * (subject.atrophy.ventricles - 1)  # wide ventricles push it away
    share = np.zeros_like(side)
    for centre_u, centre_v, across, along, tilt, top, grey in NUCLEI:
        if frame.level >= top:
            continue
        radius = np.sqrt(1 - max(frame.level, 0.0) / top)
        cos, sin = np.cos(tilt), np.sin(tilt)
        du, dv = side - centre_u, frame.v - centre_v
        unit = np.hypot((cos * du + sin * dv) / across, (cos * dv - sin * du) / along)
        share = np.maximum(share, grey * frame.inside((unit - radius) * across))
    return share
