"""Operations that give each level another, whatever its place: as tables, from the picture's histogram.

The same for arrays and tensors, and what Pillow's ``ImageOps`` and ``ImageEnhance`` do. Each takes the operation's
value and histograms, int64 ``[C, 256]``, and returns tables, uint8 ``[C, 256]``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from toolbox_kornia.heavy.values import LUMA, Table

Histograms = npt.NDArray[np.int64]

_LEVELS = np.arange(256)


def auto_contrast(_: float, histograms: Histograms) -> Table:
    """The darkest level of each channel becomes 0, the brightest 255."""
    tables = []
    for histogram in histograms:
        present = np.flatnonzero(histogram)
        low, high = present[0], present[-1]
        tables.append(_LEVELS if high <= low else (_LEVELS - low) * (255 / (high - low)))
    # Pillow cuts fractions off here; a small number more keeps what should be whole.
    return _clip(np.floor(np.stack(tables) + 1e-9))


def equalize(_: float, histograms: Histograms) -> Table:
    """Every level as often, in each channel, as far as that can be."""
    tables = []
    for histogram in histograms:
        present = histogram[histogram > 0]
        step = int(present.sum() - present[-1]) // 255
        if len(present) < 2 or not step:
            tables.append(_LEVELS)
            continue
        before = np.concatenate([[0], np.cumsum(histogram)[:-1]])
        tables.append((step // 2 + before) // step)
    return _clip(np.stack(tables))


def solarize(threshold: float, histograms: Histograms) -> Table:
    """Levels from ``threshold`` on are inverted."""
    return _tile(np.where(threshold > _LEVELS, _LEVELS, 255 - _LEVELS), histograms)


def posterize(bits: float, histograms: Histograms) -> Table:
    """Only the ``bits`` uppermost of eight are kept."""
    dropped = 8 - int(min(max(bits, 0), 8))
    return _tile(_LEVELS >> dropped << dropped, histograms)


def brightness(factor: float, histograms: Histograms) -> Table:
    """Levels are multiplied."""
    return _tile(_LEVELS * factor, histograms)


def contrast(factor: float, histograms: Histograms) -> Table:
    """Levels move away from the picture's mean grey or towards it."""
    means = histograms @ _LEVELS / histograms.sum(axis=1)
    grey = float(LUMA @ means if len(means) == 3 else means[0])
    return _tile(grey + factor * (_LEVELS - grey), histograms)


TABLES: dict[str, Callable[[float, Histograms], Table]] = {
    "auto_contrast": auto_contrast,
    "equalize": equalize,
    "solarize": solarize,
    "posterize": posterize,
    "brightness": brightness,
    "contrast": contrast,
}


def _tile(table: npt.NDArray[np.floating] | npt.NDArray[np.integer], histograms: Histograms) -> Table:
    return np.tile(_clip(np.rint(table)), (len(histograms), 1))


def _clip(tables: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> Table:
    return np.asarray(np.clip(tables, 0, 255), np.uint8)
