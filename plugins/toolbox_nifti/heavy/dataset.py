"""Slices of NIfTI volumes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from PIL import Image
from pydantic import Field

from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.errors import UsageError
from toolbox.api.volumes import read_labels, select_slices
from toolbox_nifti.heavy.volumes import Plane, UnreadableVolume, count_slices, read_slice

_SUBJECT = re.compile(r"sub-[0-9A-Za-z]+")
_PATH = re.compile(r"(.+)#([a-z]+)=(\d+)")


class NiftiDataset(VirtualDataset):
    """Two-dimensional slices of NIfTI volumes (.nii, .nii.gz), ready for a network that takes pictures.

    The class of a volume is the folder below ``path`` that it lies in, or stands in the table ``labels``
    (``participants.tsv`` of a BIDS dataset, say). Its subject is the BIDS name in its path (``sub-01``), else the
    volume itself; the subject is the group, so that no split divides it. Volumes are turned to the closest
    right-anterior-superior orientation (nibabel), so that planes mean the same whatever the scanner wrote.
    """

    def __init__(
        self,
        *,
        path: Annotated[Path, Field(description="folder of volumes, one folder a class unless labels is given")],
        plane: Annotated[Plane, Field(description="axial, coronal or sagittal")] = "axial",
        low: Annotated[float, Field(ge=0, le=1, description="first slice, as a fraction of the volume")] = 0.35,
        high: Annotated[float, Field(ge=0, le=1, description="last slice, as a fraction of the volume")] = 0.65,
        count: Annotated[int, Field(ge=1, le=10_000, description="slices of each volume, evenly spaced")] = 8,
        window_low: Annotated[float, Field(ge=0, lt=100, description="percentile of the voxels shown black")] = 1.0,
        window_high: Annotated[float, Field(gt=0, le=100, description="percentile of the voxels shown white")] = 99.0,
        volume: Annotated[int, Field(ge=0, description="which volume of a series in time")] = 0,
        labels: Annotated[Path | None, Field(description="table of subjects and classes (.csv, .tsv)")] = None,
        id_column: Annotated[str, Field(description="its column of subjects")] = "participant_id",
        label_column: Annotated[str, Field(description="its column of classes")] = "label",
    ) -> None:
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}", "Give nifti:path=FOLDER.")
        if low > high or window_low >= window_high:
            raise UsageError("nifti: low is above high, or window_low not below window_high")
        self.home = self.folder = path.resolve()
        self.plane = plane
        self._range = (low, high, count)
        self._window = (window_low, window_high)
        self._volume = volume
        self._labels: Mapping[str, str] | None = read_labels(labels, id_column, label_column) if labels else None

    def samples(self) -> Iterator[Sample]:
        """The chosen slices of every volume, by path. A volume that can't be opened is one sample, so that it is
        told when it is loaded.

        Raises
        ------
        UsageError: no volume, or one without a class.
        """
        empty = True
        for file in _volumes(self.folder):
            empty = False
            name = file.relative_to(self.folder).as_posix()
            subject = _subject(name)
            label = self._label(name, subject)
            try:
                numbers = select_slices(count_slices(file, self.plane), *self._range)
            except (UnreadableVolume, OSError):
                numbers = [0]
            for number in numbers:
                where = f"{name}#{self.plane}={number}"
                window = f"percentiles {self._window[0]:g} to {self._window[1]:g}"
                yield Sample(where, where, label, subject or name, "", {"slice": str(number), "window": window})
        if empty:
            raise UsageError(f"{self.folder} holds no NIfTI volumes (.nii, .nii.gz)")

    def load(self, sample: Sample) -> Image.Image:
        """The slice that ``sample.path`` names, mode ``L``, windowed; ``info["note"]`` says how.

        Raises
        ------
        OSError, ValueError: the volume is no whole NIfTI file, or has no such slice.
        """
        match = _PATH.fullmatch(sample.path)
        if not match or match[2] != self.plane:
            raise UnreadableVolume(f"no slice of the {self.plane} plane: {sample.path}")
        pixels, note = read_slice(self._file(match[1]), self.plane, int(match[3]), self._volume, self._window)
        image = Image.fromarray(pixels)
        image.info["note"] = note
        return image

    def file(self, sample: Sample) -> Path:
        """The volume's file."""
        return self._file(sample.path.rpartition("#")[0])

    def _file(self, name: str) -> Path:
        file = self.folder / name
        if not file.resolve().is_relative_to(self.folder):
            raise UnreadableVolume("the path leads out of the dataset's folder")
        return file

    def _label(self, name: str, subject: str) -> str:
        if self._labels is None:
            if "/" not in name:
                raise UsageError(
                    f"{name} lies in no class folder", "Put each class into a folder, or give labels=participants.tsv."
                )
            return name.partition("/")[0]
        label = self._labels.get(subject) or self._labels.get(name)
        if not label:
            raise UsageError(f"the table of labels has no line for {subject or name}")
        return label


def _volumes(folder: Path) -> list[Path]:
    """Every volume below ``folder`` that is not hidden, by path."""
    paths = (path for path in folder.rglob("*") if path.name.lower().endswith((".nii", ".nii.gz")))
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _subject(name: str) -> str:
    match = _SUBJECT.search(name)
    return match[0] if match else ""
