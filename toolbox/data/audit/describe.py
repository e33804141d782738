"""Describes a picture by a few hundred numbers that survive re-encoding, resizing, slight cropping and mirroring.

A picture is described twice, whole and trimmed to its foreground (a scan's black margin says nothing, and cropping
changes it). Either is a 16 × 16 thumbnail without its mean, band-passed, kept as its cosine transform: that leaves
every scalar product as it is, the signs of the coefficients are a 256-bit hash (as in pHash, Zauner 2010), and
mirroring turns the sign of every odd horizontal frequency and does nothing else.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Grey = npt.NDArray[np.uint8]

VERSION = 1
"""Changes with whatever changes a description or a registration, so that nothing stale is read from the cache."""

WORKING = 128
"""Side in pixels of the square on which pictures are described and registered."""

SIDE = 16
"""Side of the thumbnail; a description has SIDE² coefficients, row by row (vertical frequency first)."""

_RENDERED = 32  # the side from which the thumbnail's frequencies are taken
_FLAT = 1.5  # grey levels of band-passed contrast below which a picture has no structure to compare


def working(image: Image.Image) -> Grey:
    """``image`` in grey on a square of :data:`WORKING` pixels: uint8 ``[128, 128]``."""
    grey = image.convert("L").resize((WORKING, WORKING), Image.Resampling.BILINEAR)
    return np.asarray(grey, dtype=np.uint8)


def describe(grey: Grey) -> npt.NDArray[np.float16]:
    """The description of :func:`working`'s picture: float16 ``[2, 256]``, whole and trimmed.

    Each half has length 1, or is all zeros where there is no structure (a constant picture, say).
    """
    whole, (top, bottom, left, right) = grey.astype(np.float32), foreground(grey)
    return np.stack([_coefficients(whole), _coefficients(whole[top:bottom, left:right])]).astype(np.float16)


def mirrored(description: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """What :func:`describe` gives for the picture mirrored left to right."""
    return description * np.where(odd(), np.float16(-1), np.float16(1))


@functools.cache
def odd() -> npt.NDArray[np.bool_]:
    """Which of the 256 coefficients are of odd horizontal frequency."""
    return np.tile(np.arange(SIDE) % 2 == 1, SIDE)


def foreground(grey: Grey) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what differs from the margin; the whole picture where that is hardly any.

    The margin's level is the border's median; a row or column belongs to the foreground when a fifth of it differs
    from that by a tenth of the picture's range, and so do most of its neighbours (a frame line is no foreground).
    """
    height, width = grey.shape
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    low, high = np.percentile(grey, (1, 99))
    differs = np.abs(grey - np.float32(np.median(border))) > max(0.1 * (high - low), 4.0)
    rows, columns = (np.flatnonzero(_smoothed(differs.mean(axis=axis)) > 0.2) for axis in (1, 0))
    if min(np.ptp(content) if len(content) else 0 for content in (rows, columns)) < WORKING // 4:
        return 0, height, 0, width
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _smoothed(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The median of each value and of the two on either side of it."""
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(np.pad(values, 2, mode="edge"), 5), axis=1))


def _coefficients(grey: Floats) -> Floats:
    import cv2

    small = cv2.resize(grey, (_RENDERED, _RENDERED), interpolation=cv2.INTER_AREA)
    basis = _basis()
    weighted = (basis @ small @ basis.T) * _band()
    length = float(np.linalg.norm(weighted))
    if length < _FLAT * _RENDERED:
        return np.zeros(SIDE * SIDE, np.float32)
    return (weighted / length).ravel().astype(np.float32)


@functools.cache
def _basis() -> Floats:
    """The first :data:`SIDE` orthonormal cosines (DCT-II) on ``_RENDERED`` points."""
    frequency, place = np.arange(SIDE)[:, None], np.arange(_RENDERED)[None, :]
    basis = np.cos(np.pi * frequency * (2 * place + 1) / (2 * _RENDERED)) * np.sqrt(2 / _RENDERED)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, dtype=np.float32)


@functools.cache
def _band() -> Floats:
    """Weights of the frequencies: none for the mean, little for slow shading and for the finest detail."""
    radius = np.hypot(*np.mgrid[0:SIDE, 0:SIDE])
    return np.asarray(radius * np.exp(-((radius / 8) ** 2)), dtype=np.float32)
