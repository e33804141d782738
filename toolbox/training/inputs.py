"""What a step is fed with: pixels kept as uint8, copies made on the fly, or activations computed once.

Every set of inputs that does not change knows a key for each of its images, which follows from their content: by it
activations are kept (see :mod:`toolbox.training.activation_cache`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from toolbox.api.errors import EnvironmentFailure
from toolbox.api.progress import Reporter, tracked
from toolbox.api.protocols import Augmenter, ImageInfo, MixingAugmenter
from toolbox.augment.encode import generator
from toolbox.cache.folder import PREFIX, SCRATCH, cache_folder, sweep_scratch
from toolbox.cache.table import Rows
from toolbox.data.images import as_array, resize_to_square
from toolbox.data.index import map_in_threads
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.files.atomic import make_folder, translate_os_errors

IN_MEMORY = 1_000_000_000
"""Bytes up to which decoded images stay in memory; above, they lie in a memory-mapped file."""

Array = npt.NDArray[np.uint8]


class Inputs(Protocol):
    """A numbered set of inputs of one shape."""

    def __len__(self) -> int: ...

    def start_epoch(self, epoch: int) -> None:
        """Tell which epoch the next batches belong to (augmentation on the fly draws anew)."""

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """Float inputs for ``indices`` (int64, on the CPU), on the device: ``[B, …]``."""


class Pixels:
    """Decoded images, normalised when they are used.

    ``images``: uint8 ``[N, H, W, C]``, or what gives them when the first batch is asked for (with ``keys``, one an
    image). A batch is float32 ``[B, C, H, W]``, channels-last in memory, with ``mean`` and ``std`` (one a channel,
    for values in [0, 1]) taken off.
    """

    def __init__(
        self,
        images: Array | Callable[[], Array],
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        keys: Sequence[str] = (),
    ) -> None:
        self._images = images
        self._count = len(keys) if callable(images) else len(images)
        self.keys = keys
        self.device = device
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(mean, device=device).reshape(shape) * 255
        self._std = torch.tensor(std, device=device).reshape(shape) * 255

    def __len__(self) -> int:
        return self._count

    @property
    def images(self) -> Array:
        """The decoded images: uint8 ``[N, H, W, C]``."""
        if callable(self._images):
            self._images = self._images()
        return self._images

    def start_epoch(self, epoch: int) -> None:
        """Nothing changes from epoch to epoch."""

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        return self.normalised(self.raw(indices))

    def raw(self, indices: torch.Tensor) -> torch.Tensor:
        """The pixels as they are: uint8 ``[B, C, H, W]`` on the device."""
        chosen = torch.from_numpy(self.images[indices.numpy()])
        return chosen.to(self.device, non_blocking=True).permute(0, 3, 1, 2)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """``pixels`` (uint8 ``[B, C, H, W]``) as the model wants them."""
        return (pixels.float() - self._mean) / self._std


class Online(Pixels):
    """Pixels that are augmented while they are used, anew in each epoch."""

    def __init__(self, pixels: Pixels, seed: int) -> None:
        self.__dict__.update(pixels.__dict__)
        self.seed = seed
        self.epoch = 0

    def start_epoch(self, epoch: int) -> None:
        """Draw anew from here on."""
        self.epoch = epoch


class OnlineCopies(Online):
    """Pixels that get a fresh copy each epoch, drawn by (seed, the source's pixel hash, epoch)."""

    def __init__(self, pixels: Pixels, rows: Sequence[Row], augmenter: Augmenter, seed: int) -> None:
        super().__init__(pixels, seed)
        self.rows = rows
        self.augmenter = augmenter

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        _, height, width, channels = self.images.shape
        info = ImageInfo(height, width, channels)
        keys = [self.rows[index].pixels for index in indices.tolist()]
        params = [self.augmenter.draw(generator(self.seed, key, self.epoch), info) for key in keys]
        return self.normalised(self.augmenter.apply_tensor(self.raw(indices), params, height))


class OnlineMixes(Online):
    """Pixels whose batches are mixed, with their targets, by (seed, epoch, number of the batch)."""

    def __init__(self, pixels: Pixels, augmenter: MixingAugmenter, seed: int, classes: int) -> None:
        super().__init__(pixels, seed)
        self.augmenter = augmenter
        self.classes = classes

    def mixed(self, images: torch.Tensor, targets: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """See :func:`mixed`."""
        count, channels, height, width = images.shape
        rng = generator(self.seed, f"batch {number}", self.epoch)
        params = self.augmenter.draw_batch(rng, count, ImageInfo(height, width, channels))
        soft = torch.nn.functional.one_hot(targets, self.classes).to(images.dtype)
        return self.augmenter.mix(images, soft, params)


def online(
    pixels: Pixels, rows: Sequence[Row], augmenter: Augmenter | MixingAugmenter, seed: int, classes: int
) -> OnlineCopies | OnlineMixes:
    """``pixels`` (those of ``rows``, which are of so many ``classes``) augmented while they are used."""
    if isinstance(augmenter, MixingAugmenter):
        return OnlineMixes(pixels, augmenter, seed, classes)
    return OnlineCopies(pixels, rows, augmenter, seed)


def mixed(inputs: Inputs, batch: torch.Tensor, targets: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What an epoch's batch ``number`` is trained with: itself, unless ``inputs`` mixes.

    ``targets``, int64 ``[B]``, are then soft ones: float ``[B, classes]``.
    """
    return inputs.mixed(batch, targets, number) if isinstance(inputs, OnlineMixes) else (batch, targets)


class Activations:
    """What a frozen part of the model gives, computed once. Maps lie as channels-last: ``[N, H, W, C]``."""

    def __init__(self, rows: Rows, keys: Sequence[str], device: torch.device) -> None:
        self.rows = rows
        self.keys = keys
        self.device = device

    def __len__(self) -> int:
        return len(self.rows)

    def start_epoch(self, epoch: int) -> None:
        """Nothing changes from epoch to epoch."""

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        chosen = torch.from_numpy(self.rows.take(indices.numpy())).to(self.device, non_blocking=True).float()
        return chosen.permute(0, 3, 1, 2) if chosen.dim() == 4 else chosen


class Chosen:
    """Some of a set of inputs: those at ``places`` (int64, on the CPU)."""

    def __init__(self, inputs: Inputs, places: torch.Tensor) -> None:
        self.inputs = inputs
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def start_epoch(self, epoch: int) -> None:
        """See :class:`Inputs`."""
        self.inputs.start_epoch(epoch)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        return self.inputs.batch(self.places[indices])


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for memory-mapped files that goes away with the training."""
    sweep_scratch()
    try:
        made = _folder_in(cache_folder() / SCRATCH)
    except (EnvironmentFailure, OSError):  # nothing of a result hangs on the cache's folder
        made = _folder_in(None)
    with made as folder:
        yield Path(folder)


def _folder_in(parent: Path | None) -> tempfile.TemporaryDirectory[str]:
    """A new folder in ``parent``, or where the system has its temporary files."""
    if parent is not None:
        make_folder(parent)
    return tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True)


def room(shape: tuple[int, ...], dtype: type[np.generic], folder: Path) -> npt.NDArray[np.generic]:
    """An array to fill: in memory, or memory-mapped in ``folder`` from :data:`IN_MEMORY` on."""
    if int(np.prod(shape)) * np.dtype(dtype).itemsize <= IN_MEMORY:
        return np.empty(shape, dtype)
    make_folder(folder)  # somebody may have cleared the cache
    with translate_os_errors("write", folder):
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            name = file.name
        return np.memmap(name, dtype, "w+", shape=shape)


def decoded(
    rows: Sequence[Row], source: Source, size: int, channels: int, folder: Path, reporter: Reporter, what: str
) -> Array:
    """The pictures of ``rows``, each decoded once: uint8 ``[N, size, size, channels]``."""
    images: Array = room((len(rows), size, size, channels), np.uint8, folder)  # type: ignore[assignment]
    read: Callable[[Row], Array] = lambda row: as_array(resize_to_square(source.image(row), size), channels)  # noqa: E731
    arrays = tracked(map_in_threads(read, rows), reporter, f"decoding {what}", len(rows), "images")
    for position, array in enumerate(arrays):
        images[position] = array
    return images


def in_order(count: int, batch_size: int) -> list[torch.Tensor]:
    """The indices 0 to ``count`` in batches."""
    return list(torch.split(torch.arange(count), batch_size))
