"""Reads a NIfTI volume, whole and oriented, as windowed 8-bit grey."""

from __future__ import annotations

import zlib
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt

Plane = Literal["sagittal", "coronal", "axial"]
AXES: dict[str, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The axis that a plane's slices are numbered along, in right-anterior-superior orientation."""

MAX_VOXELS = 2**28
"""Larger volumes are refused before anything is allocated: a header can claim any size."""

_READ_LOCK = Lock()


class UnreadableVolume(ValueError):
    """A file that is no whole, acceptable volume; the text is the reason that ``quarantine.csv`` states."""


def count_slices(path: Path, plane: Plane) -> int:
    """How many slices the volume in ``path`` has along ``plane``, from its header alone.

    Raises
    ------
    UnreadableVolume: it is no NIfTI file, or claims an absurd size.
    """
    return int(_canonical_shape(_open(path))[AXES[plane]])


def read_slice(
    path: Path, plane: Plane, number: int, volume: int, window: tuple[float, float]
) -> tuple[npt.NDArray[np.uint8], str]:
    """Slice ``number`` as uint8 ``[H, W]``, anterior or superior up, and the window that made it so.

    Raises
    ------
    UnreadableVolume: it is cut off, empty, or has no such slice.
    """
    info = path.stat()
    with _READ_LOCK:  # threads that want slices of one volume read it once
        voxels, note = _load_windowed(str(path), info.st_mtime_ns, info.st_size, volume, window)
    if not 0 <= number < voxels.shape[AXES[plane]]:
        raise UnreadableVolume(f"has no slice {number}")
    return np.ascontiguousarray(np.rot90(np.take(voxels, number, AXES[plane]))), note


@lru_cache(maxsize=2)
def _load_windowed(
    path: str, mtime: int, size: int, volume: int, window: tuple[float, float]
) -> tuple[npt.NDArray[np.uint8], str]:
    """A whole volume, ``window`` (percentiles of its voxels that are not zero) stretched over 0 to 255."""
    image = _open(Path(path))
    try:
        data = image.dataobj if len(image.shape) == 3 else image.dataobj[..., _volume_index(image.shape, volume)]
        values = np.asarray(data, dtype=np.float32).reshape(image.shape[:3])
    except UnreadableVolume:
        raise
    except (OSError, EOFError, ValueError, zlib.error, MemoryError) as error:
        raise UnreadableVolume(f"can't be read: {' '.join(str(error).split()) or type(error).__name__}") from error
    canonical = nib.as_closest_canonical(nib.Nifti1Image(values, image.affine))
    values = np.asarray(canonical.dataobj, dtype=np.float32)
    used = values[np.isfinite(values) & (values != 0)]
    if used.size == 0:
        raise UnreadableVolume("holds no voxel but zeros")
    low, high = (float(bound) for bound in np.percentile(used, window))
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    grey = np.rint(np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255)).astype(np.uint8)
    return grey, f"voxels {low:g} to {high:g} (percentiles {window[0]:g} and {window[1]:g}) windowed to 0 to 255"


def _open(path: Path) -> nib.Nifti1Image:
    """The volume in ``path``, its header read and its voxels not yet."""
    try:
        image = nib.load(path)
    except Exception as error:  # nibabel raises anything on hostile headers
        raise UnreadableVolume(f"no NIfTI file: {type(error).__name__}") from error
    if not isinstance(image, nib.Nifti1Pair) or len(image.shape) not in (3, 4, 5) or min(image.shape) < 1:
        raise UnreadableVolume(f"no NIfTI volume of three dimensions (shape {getattr(image, 'shape', '?')})")
    if prod(int(side) for side in image.shape[:3]) > MAX_VOXELS:
        raise UnreadableVolume(f"claims {' × '.join(map(str, image.shape))} voxels; the limit is {MAX_VOXELS:,}")
    if not np.issubdtype(image.get_data_dtype(), np.number) or np.issubdtype(
        image.get_data_dtype(), np.complexfloating
    ):
        raise UnreadableVolume(f"voxels of type {image.get_data_dtype()} are not read")
    return image


def _canonical_shape(image: nib.Nifti1Image) -> tuple[int, ...]:
    axes = nib.io_orientation(image.affine)[:, 0]
    if np.isnan(axes).any():
        raise UnreadableVolume("its affine does not say which way is up")
    shape = [0, 0, 0]
    for voxel_axis, world_axis in enumerate(axes):
        shape[int(world_axis)] = image.shape[voxel_axis]
    return tuple(shape)


def _volume_index(shape: tuple[int, ...], volume: int) -> int | tuple[int, ...]:
    if volume >= shape[3]:
        raise UnreadableVolume(f"has {shape[3]} volumes; number {volume} is wanted")
    return volume if len(shape) == 4 else (volume, 0)
