"""Lays one picture over another, affinely, and says how well their pixels then agree.

Registration goes from coarse to fine and maximises the enhanced correlation coefficient (a Lucas-Kanade scheme that
brightness and contrast don't disturb: Evangelidis & Psarakis, PAMI 2008, as OpenCV has it). Agreement is measured on
band-passed pixels: neighbouring slices of a scan differ there, where an ordinary correlation calls them equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toolbox.data.audit.describe import WORKING, Floats, Grey, foreground

_LEVELS = ((32, 40, 1e-4), (64, 40, 1e-4), (128, 50, 1e-5))
"""Sides in pixels at which a pair is registered, with the most iterations and the smallest gain of each."""

_HOPELESS = {32: 0.55, 64: 0.85}
"""Agreement below which a pair is given up after that side; what ends as a duplicate had 0.67 and 0.97 at least."""

_FINE, _COARSE = 1.2, 6.0
"""The band, as standard deviations in pixels at 128: finer detail is coding noise, coarser detail is shading."""

_FAINT = 0.5
"""Grey levels of contrast in the band below which a picture has nothing to compare but coding noise."""


@dataclass(frozen=True, slots=True)
class GreyImage:
    """A picture to be registered: uint8 ``[128, 128]`` in grey, and its foreground (top, bottom, left, right)."""

    grey: Grey
    box: tuple[int, int, int, int]

    @classmethod
    def of(cls, grey: Grey) -> GreyImage:
        """The picture and the foreground that is found in it."""
        return cls(grey, foreground(grey))

    def mirrored(self) -> GreyImage:
        """The picture mirrored left to right."""
        top, bottom, left, right = self.box
        return GreyImage(np.ascontiguousarray(self.grey[:, ::-1]), (top, bottom, WORKING - right, WORKING - left))

    def at(self, side: int) -> Floats:
        """The picture with ``side`` pixels a side, float32."""
        import cv2

        grey = self.grey.astype(np.float32)
        if side == WORKING:
            return grey
        return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Registration:
    """How a second picture lies over a first.

    ``score``: correlation of their band-passed pixels where they overlap, -1 to 1; 0 where they could not be
    registered. ``smallest`` and ``largest``: scales along the axes that are scaled least and most (cropping scales
    the two sides of a squashed picture differently). ``rotation`` is in degrees.
    """

    score: float
    smallest: float = 1.0
    largest: float = 1.0
    rotation: float = 0.0
    mirrored: bool = False

    @property
    def scale(self) -> float:
        """The one scale that changes the area as much as the two together."""
        return math.sqrt(self.smallest * self.largest)


def register(first: GreyImage, second: GreyImage) -> Registration:
    """Register ``second``, as it is or mirrored, to ``first``. No picture makes it raise."""
    attempts = [_Attempt(first, second, False), _Attempt(first, second.mirrored(), True)]
    for attempt in attempts:
        attempt.improve(*_LEVELS[0])
    best = max(attempts, key=lambda attempt: attempt.score)
    for level in _LEVELS[1:]:
        best.improve(*level)
    return best.registration()


def correlation(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], faint: float = 0.0) -> float:
    """Pearson's correlation of two arrays' values; 0 where one's standard deviation is no more than ``faint``."""
    first, second = first - first.mean(), second - second.mean()
    lengths = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    if min(lengths) <= faint * math.sqrt(first.size):
        return 0.0
    return float(np.clip(np.sum(first * second) / (lengths[0] * lengths[1]), -1, 1))


class _Attempt:
    """One way of laying ``second`` over ``first``, improved from side to side until it is hopeless (score 0)."""

    def __init__(self, first: GreyImage, second: GreyImage, mirrored: bool) -> None:
        self.first, self.second, self.mirrored = first, second, mirrored
        self.matrix, self.score = _start(first, second), 1.0

    def improve(self, side: int, iterations: int, gain: float) -> None:
        """Register at ``side`` pixels; agreement is measured at 64 at least, since 32 leave too little of the band."""
        if self.score == 0:
            return
        matrix = _improved(self.first.at(side), self.second.at(side), self.matrix, iterations, gain)
        if matrix is None or np.linalg.det(matrix[:, :2]) <= 0:  # it may turn a picture over by itself
            self.score = 0.0
            return
        self.matrix, measured = matrix, max(side, 64)
        self.score = _agreement(self.first.at(measured), self.second.at(measured), self.matrix)
        if self.score < _HOPELESS.get(side, 0.0):
            self.score = 0.0

    def registration(self) -> Registration:
        low, high, angle = _geometry(self.matrix)
        return Registration(self.score, low, high, angle, self.mirrored) if self.score else Registration(0.0)


def _start(first: GreyImage, second: GreyImage) -> Floats:
    """Whole on whole or foreground on foreground (a margin may have been cut off): what agrees better at 32 px."""
    whole = np.eye(2, 3, dtype=np.float32)
    top, bottom, left, right = first.box
    top_2, bottom_2, left_2, right_2 = second.box
    across, down = (right_2 - left_2) / (right - left), (bottom_2 - top_2) / (bottom - top)
    if not all(0.8 < scale < 1.25 for scale in (across, down)):
        return whole
    # Edges of boxes lie between pixels, and a pixel's number is its centre's place.
    shift = left_2 - across * left + (across - 1) / 2, top_2 - down * top + (down - 1) / 2
    trimmed = np.array([[across, 0, shift[0]], [0, down, shift[1]]], dtype=np.float32)
    small = first.at(32), second.at(32)
    return max((whole, trimmed), key=lambda matrix: correlation(small[0], _moved(small[1], _at(matrix, 32))))


def _improved(first: Floats, second: Floats, matrix: Floats, iterations: int, gain: float) -> Floats | None:
    """``matrix`` after maximising the enhanced correlation coefficient; ``None`` where that does not converge."""
    import cv2

    side = first.shape[0]
    everywhere = np.ones((side, side), np.uint8)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, iterations, gain)
    try:
        _, improved = cv2.findTransformECC(first, second, _at(matrix, side), cv2.MOTION_AFFINE, criteria, everywhere, 1)
    except cv2.error:  # uncorrelated pictures, or one without structure
        return None
    if not np.isfinite(improved).all():
        return None
    return _at(np.asarray(improved, dtype=np.float32), WORKING, side)


def _at(matrix: Floats, side: int, known_at: int = WORKING) -> Floats:
    """The map that is ``matrix`` for pictures of ``known_at`` pixels a side, for pictures of ``side``."""
    factor, linear, half = side / known_at, matrix[:, :2], np.full(2, 0.5, np.float32)
    # Pixel i's centre lies at i + 1/2: that, and not i, is what grows with the side.
    shift = factor * (matrix[:, 2] + half - linear @ half) - half + linear @ half
    return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)


def _moved(grey: Floats, matrix: Floats) -> Floats:
    import cv2

    size, flags = (grey.shape[1], grey.shape[0]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(grey, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)


def _agreement(first: Floats, second: Floats, matrix: Floats) -> float:
    """Correlation of the band-passed pixels of ``first`` and of ``second`` moved, where both have any."""
    import cv2

    side = first.shape[0]
    at_side = _at(matrix, side)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mask = cv2.warpAffine(np.ones((side, side), np.float32), at_side, (side, side), flags=flags) > 0.99
    if mask.mean() < 0.6:
        return 0.0
    inside = mask.astype(np.float32)
    # Blurs that see nothing outside: what lies beyond one picture's edge must not count in the other's.
    weights = [np.maximum(_blurred(inside, sigma), 1e-6) for sigma in (_FINE, _COARSE)]
    bands = []
    for grey in (first, _moved(second, at_side)):
        fine, coarse = (_blurred(grey * inside, s) / w for s, w in zip((_FINE, _COARSE), weights, strict=True))
        bands.append((fine - coarse)[mask])
    return correlation(bands[0], bands[1], _FAINT)


def _blurred(grey: Floats, sigma: float) -> Floats:
    """A Gaussian blur by ``sigma`` pixels at 128, whatever the side."""
    import cv2

    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma * grey.shape[0] / WORKING), dtype=np.float32)


def _geometry(matrix: Floats) -> tuple[float, float, float]:
    """Smallest and largest scale, and rotation in degrees, of an affine map's linear part (polar decomposition)."""
    left, scales, right = np.linalg.svd(matrix[:, :2].astype(np.float64))
    turn = left @ right
    return float(scales[1]), float(scales[0]), math.degrees(math.atan2(turn[1, 0], turn[0, 0]))
