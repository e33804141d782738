"""The ``npz`` dataset."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.errors import UsageError

Array = npt.NDArray[Any]


class NpzDataset(VirtualDataset):
    """The images of a NumPy archive.

    It holds ``images``, uint8 ``[N, H, W]`` or ``[N, H, W, 3]``, and ``labels`` (texts or numbers, ``[N]``), perhaps
    ``groups`` (``[N]``, what a split must not divide). Or it is MedMNIST's: ``train_images``, ``train_labels`` and
    so on for val and test, which are then the splits. Nothing is unpickled.

    Source: Yang et al., "MedMNIST v2", Scientific Data 10 (2023), for the names of the arrays.
    """

    def __init__(
        self,
        *,
        path: Annotated[Path, Field(description="the .npz file")],
        names: Annotated[
            list[str] | None, Field(description="names of the classes, where labels are numbers from 0 on")
        ] = None,
    ) -> None:
        self.path = path.expanduser().resolve()
        self.names = names
        self.home = self.path.parent
        self._parts = {part: len(self._arrays[f"{part}images"]) for part in self._find_parts()}

    def samples(self) -> Iterator[Sample]:
        """Every image, in the archive's order."""
        for part, count in self._parts.items():
            labels = self._column(f"{part}labels", count)
            groups = self._column(f"{part}groups", count) if f"{part}groups" in self._arrays else [""] * count
            split = part.removesuffix("_")
            for number in range(count):
                name = f"{part}{number:06d}"
                label = self._name_of(labels[number])
                yield Sample(id=name, path=f"{self.path.name}#{name}", label=label, group=groups[number], split=split)

    def load(self, sample: Sample) -> Image.Image:
        """The image of ``sample``: mode ``L`` or ``RGB``."""
        part, _, number = sample.path.rpartition("#")[2].rpartition("_")
        return Image.fromarray(self._arrays[f"{part}_images" if part else "images"][int(number)])

    def file(self, sample: Sample) -> Path:
        """The archive."""
        return self.path

    def __getstate__(self) -> dict[str, Any]:
        """Without the arrays: a worker reads them itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_arrays"}

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UsageError(f"{self.path} can't be read as an archive of arrays: {error}", "Check 'path'.") from error

    def _find_parts(self) -> list[str]:
        """The prefixes of the arrays: none, or MedMNIST's parts."""
        parts = [part for part in ("train_", "val_", "test_", "") if f"{part}images" in self._arrays]
        if not parts or (len(parts) > 1 and "" in parts):
            known = ", ".join(sorted(self._arrays)) or "none"
            raise UsageError(f"{self.path.name} must hold 'images', or 'train_images' and so on; it holds: {known}")
        for part in parts:
            images, labels = self._arrays[f"{part}images"], self._arrays.get(f"{part}labels")
            colours = images.ndim == 4 and images.shape[3] == 3
            if images.dtype != np.uint8 or not (images.ndim == 3 or colours):
                raise UsageError(f"{part}images is {images.dtype} {images.shape}, not uint8 [N, H, W] or [N, H, W, 3]")
            if labels is None or labels.size != len(images):
                raise UsageError(f"{self.path.name} has no {part}labels, one for each of {len(images)} images")
        return parts

    def _column(self, name: str, count: int) -> list[str]:
        values = self._arrays[name].reshape(-1)
        if len(values) != count:
            raise UsageError(f"{name} has {len(values)} values for {count} images")
        return [str(value) for value in values]

    def _name_of(self, label: str) -> str:
        if not self.names:
            return label
        if not label.isdecimal() or int(label) >= len(self.names):
            raise UsageError(f"there is no name for the label {label!r}", f"'names' has {len(self.names)}.")
        return self.names[int(label)]
