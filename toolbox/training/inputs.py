"""Inputs of a training: decoded images, images augmented on the fly, and cached activations."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from toolbox.api.augmenter import Augmenter, ImageInfo, MixingAugmenter
from toolbox.api.images import as_array, resize_to_square
from toolbox.api.progress import Reporter, tracked
from toolbox.api.threads import map_in_threads
from toolbox.augment.encode import generator
from toolbox.cache.table import Rows
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.files.atomic import make_folder, translate_os_errors
from toolbox.models.normalize import Normalize, to_tensor
from toolbox.plugin import guard

IN_MEMORY = 1_000_000_000
"""Bytes up to which decoded images stay in memory; larger arrays are memory-mapped."""

Array = npt.NDArray[np.uint8]


class Inputs(ABC):
    """A numbered set of inputs of one shape."""

    keys: Sequence[str] | None = None
    """A key for each input that follows from its content, for the cache; ``None`` for inputs that change."""

    stage: str = ""
    epoch: int = 0
    """Stage and epoch that the next batches belong to; augmentation on the fly draws new parameters in each."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """Float inputs for ``indices`` (int64, on the CPU), on the device: ``[B, …]``."""

    def training_batch(self, indices: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """The inputs to train on; ``draws``: how often the epoch drew each sample before (int64 ``[B]``)."""
        return self.batch(indices)

    def mix(self, batch: torch.Tensor, targets: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What to train on for an epoch's batch ``number``: unchanged, unless these inputs are mixed.

        ``targets``: int64 ``[B]``; those of mixed inputs are soft, float ``[B, classes]``.
        """
        return batch, targets


@dataclass(frozen=True)
class LabeledInputs:
    """Inputs with their classes: ``targets`` int64 ``[N]`` on the CPU."""

    inputs: Inputs
    targets: torch.Tensor

    def subset(self, indices: torch.Tensor) -> LabeledInputs:
        """The samples at ``indices`` (int64, on the CPU)."""
        return LabeledInputs(Subset(self.inputs, indices), self.targets[indices])


class Pixels(Inputs):
    """Decoded images, normalized when they are used.

    ``images``: uint8 ``[N, H, W, C]``, or a function that gives them when the first batch is needed (with ``keys``,
    one per image). A batch is float32 ``[B, C, H, W]``, channels-last in memory, normalized by ``mean`` and ``std``
    (one value per channel, for values in [0, 1]).
    """

    keys: Sequence[str]

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
        self.normalize = Normalize(mean, std).to(device)

    def __len__(self) -> int:
        return self._count

    @property
    def images(self) -> Array:
        """The decoded images: uint8 ``[N, H, W, C]``."""
        if callable(self._images):
            self._images = self._images()
        return self._images

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        normalized: torch.Tensor = self.normalize(self.raw(indices))
        return normalized

    def raw(self, indices: torch.Tensor) -> torch.Tensor:
        """The pixels before normalization: uint8 ``[B, C, H, W]`` on the device."""
        return to_tensor(self.images[indices.numpy()], self.device)


class AugmentedPixels(Inputs):
    """A new copy at each draw of an image, made on the device.

    Its parameters follow from the seed, the image's pixel hash, the stage, the epoch, and the number of the draw.
    """

    def __init__(self, pixels: Pixels, hashes: Sequence[str], augmenter: Augmenter, seed: int) -> None:
        self.pixels = pixels
        self.hashes = hashes
        self.augmenter = augmenter
        self.seed = seed

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """The copies of each image's first draw."""
        return self.training_batch(indices, torch.zeros_like(indices))

    def training_batch(self, indices: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        _, height, width, channels = self.pixels.images.shape
        info = ImageInfo(height, width, channels)
        raw = self.pixels.raw(indices)
        with guard.guard(self.augmenter):
            params = [
                self.augmenter.draw(generator(self.seed, f"{self.hashes[index]}/{self.stage}/{self.epoch}", draw), info)
                for index, draw in zip(indices.tolist(), draws.tolist(), strict=True)
            ]
            copies = self.augmenter.apply_tensor(raw, params, height)
        _check_like(copies, raw, self.augmenter)
        normalized: torch.Tensor = self.pixels.normalize(copies)
        return normalized


class MixedPixels(Inputs):
    """Images whose batches are mixed, with their targets, by (seed, stage, epoch, number of the batch)."""

    def __init__(self, pixels: Pixels, augmenter: MixingAugmenter, seed: int, classes: int) -> None:
        self.pixels = pixels
        self.augmenter = augmenter
        self.seed = seed
        self.classes = classes

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        return self.pixels.batch(indices)

    def mix(self, batch: torch.Tensor, targets: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`Inputs`."""
        count, channels, height, width = batch.shape
        rng = generator(self.seed, f"{self.stage}/{self.epoch}/batch", number)
        soft_targets = torch.nn.functional.one_hot(targets, self.classes).to(batch.dtype)
        with guard.guard(self.augmenter):
            params = self.augmenter.draw_batch(rng, count, ImageInfo(height, width, channels))
            images, mixed_targets = self.augmenter.mix(batch, soft_targets, params)
        _check_like(images, batch, self.augmenter)
        _check_like(mixed_targets, soft_targets, self.augmenter)
        return images, mixed_targets


def _check_like(output: object, expected: torch.Tensor, augmenter: Augmenter | MixingAugmenter) -> None:
    """Refuse what is not a tensor with the shape and type of ``expected``."""
    if not isinstance(output, torch.Tensor) or (output.shape, output.dtype) != (expected.shape, expected.dtype):
        returned = f"{getattr(output, 'dtype', type(output).__name__)} of shape {list(getattr(output, 'shape', []))}"
        guard.refuse(augmenter, returned, f"{expected.dtype} of shape {list(expected.shape)}")


def augment_online(
    pixels: Pixels, rows: Sequence[Row], augmenter: Augmenter | MixingAugmenter, seed: int, classes: int
) -> AugmentedPixels | MixedPixels:
    """``pixels``, the images of ``rows``, augmented or mixed by ``augmenter`` while they are used."""
    if isinstance(augmenter, MixingAugmenter):
        return MixedPixels(pixels, augmenter, seed, classes)
    return AugmentedPixels(pixels, [row.pixels for row in rows], augmenter, seed)


class Activations(Inputs):
    """Cached activations of a frozen part of the model. Feature maps are stored channels-last: ``[N, H, W, C]``."""

    keys: Sequence[str]

    def __init__(self, rows: Rows, keys: Sequence[str], device: torch.device) -> None:
        self.rows = rows
        self.keys = keys
        self.device = device

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        values = torch.from_numpy(self.rows.take(indices.numpy())).to(self.device, non_blocking=True).float()
        return values.permute(0, 3, 1, 2) if values.dim() == 4 else values


@dataclass(frozen=True)
class ModelInputs:
    """Inputs of the model, or of a later part of it, for all samples of a run.

    ``val_indices``: which of the held-out samples belong to the validation split.
    """

    train: LabeledInputs
    held_out: LabeledInputs | None
    val_indices: torch.Tensor

    @property
    def val(self) -> LabeledInputs | None:
        """The validation samples, if there are any."""
        return self.held_out.subset(self.val_indices) if self.held_out and len(self.val_indices) else None

    @property
    def are_cached(self) -> bool:
        """Whether these are activations, rather than images."""
        return isinstance(self.train.inputs, Activations)

    def with_inputs(self, inputs: Sequence[Inputs]) -> ModelInputs:
        """The same samples with other inputs: those to train on and, if there are any, those held out."""
        train = replace(self.train, inputs=inputs[0])
        return replace(self, train=train, held_out=self.held_out and replace(self.held_out, inputs=inputs[1]))


class Subset(Inputs):
    """The inputs at ``indices`` (int64, on the CPU) of a set of inputs that does not change."""

    def __init__(self, inputs: Inputs, indices: torch.Tensor) -> None:
        self.inputs = inputs
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """See :class:`Inputs`."""
        return self.inputs.batch(self.indices[indices])


def decode_images(
    rows: Sequence[Row], source: Source, size: int, channels: int, scratch: Path, reporter: Reporter, what: str
) -> Array:
    """The images of ``rows``, each decoded once: uint8 ``[N, size, size, channels]``.

    Memory-mapped in the folder ``scratch`` above :data:`IN_MEMORY` bytes. ``what``: a word for the progress bar.
    """
    images = _allocate((len(rows), size, size, channels), scratch)
    decode: Callable[[Row], Array] = lambda row: as_array(resize_to_square(source.image(row), size), channels)  # noqa: E731
    arrays = tracked(map_in_threads(decode, rows), reporter, f"decoding {what}", len(rows), "images")
    for index, array in enumerate(arrays):
        images[index] = array
    return images


def _allocate(shape: tuple[int, ...], scratch: Path) -> Array:
    if int(np.prod(shape)) <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    make_folder(scratch)  # the user may have cleared the cache
    with translate_os_errors("write", scratch):
        with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as file:
            name = file.name
        return np.memmap(name, np.uint8, "w+", shape=shape)
