"""Slices of DICOM series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from PIL import Image
from pydantic import Field

from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.errors import UsageError
from toolbox.api.volumes import read_labels, select_slices
from toolbox_dicom.heavy.files import Header, UnreadableDicom, dicom_files, read_header, read_picture
from toolbox_dicom.pseudonyms import machine_key, pseudonym


class DicomDataset(VirtualDataset):
    """Two-dimensional slices of DICOM series, ready for a network that takes pictures.

    The class of a file is the folder below ``path`` that it lies in, or stands in the table ``labels`` by its
    PatientID. The patient is the group, so that no split divides one. He is named by an HMAC-SHA256 of his
    PatientID, with a key that stays on this machine: no tag of the files is written anywhere. Names of files and
    folders are written, as they are yours.

    Slices are sorted along the normal of their plane. Values become grey by the file's own modality and VOI
    look-up (pydicom), or by percentiles where it has none.
    """

    def __init__(
        self,
        *,
        path: Annotated[Path, Field(description="folder of DICOM files, one folder a class unless labels is given")],
        low: Annotated[float, Field(ge=0, le=1, description="first slice, as a fraction of the series")] = 0.0,
        high: Annotated[float, Field(ge=0, le=1, description="last slice, as a fraction of the series")] = 1.0,
        count: Annotated[int, Field(ge=0, le=100_000, description="slices of each series; 0: all")] = 0,
        window_low: Annotated[float, Field(ge=0, lt=100, description="percentile shown black, without a window")] = 1.0,
        window_high: Annotated[
            float, Field(gt=0, le=100, description="percentile shown white, without a window")
        ] = 99.0,
        labels: Annotated[Path | None, Field(description="table of patients and classes (.csv, .tsv)")] = None,
        id_column: Annotated[str, Field(description="its column of PatientIDs")] = "PatientID",
        label_column: Annotated[str, Field(description="its column of classes")] = "label",
    ) -> None:
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}", "Give dicom:path=FOLDER.")
        if low > high or window_low >= window_high:
            raise UsageError("dicom: low is above high, or window_low not below window_high")
        self.home = self.folder = path.resolve()
        self._range = (low, high, count)
        self._window = (window_low, window_high)
        self._labels: Mapping[str, str] | None = read_labels(labels, id_column, label_column) if labels else None
        self._key = machine_key()

    def samples(self) -> Iterator[Sample]:
        """The chosen slices of every series, by path and position; a file without a readable header is one sample,
        so that loading it reports the error.

        Raises
        ------
        UsageError: no DICOM file, or one without a class.
        """
        series: dict[tuple[str, str], list[tuple[float, str, int, Header | None]]] = defaultdict(list)
        for file in dicom_files(self.folder):
            name = file.relative_to(self.folder).as_posix()
            try:
                header = read_header(file)
            except (UnreadableDicom, OSError):
                series[name, ""].append((0.0, name, 0, None))
                continue
            place = name.rpartition("/")[0]
            series[place, header.series].extend(
                (header.position, name, frame, header) for frame in range(header.frames)
            )
        if not series:
            raise UsageError(f"{self.folder} holds no DICOM files")
        low, high, count = self._range
        for _, slices in sorted(series.items()):
            slices.sort(key=lambda item: item[:3])
            for number in select_slices(len(slices), low, high, count or len(slices)):
                _, name, frame, head = slices[number]
                yield self._sample(name, frame, number, head)

    def load(self, sample: Sample) -> Image.Image:
        """The slice that ``sample.path`` names, mode ``L`` or ``RGB``.

        Raises
        ------
        OSError, ValueError: the file gives no picture.
        """
        name, _, frame = sample.path.rpartition("#frame=")
        if not name or not frame.isdecimal():
            raise UnreadableDicom("no frame is named")
        return read_picture(self._file(name), int(frame), self._window)

    def file(self, sample: Sample) -> Path:
        """The slice's file."""
        return self._file(sample.path.rpartition("#")[0])

    def _sample(self, name: str, frame: int, number: int, head: Header | None) -> Sample:
        where = f"{name}#frame={frame}"
        # A patient without a PatientID is known by his folder.
        patient = head.patient if head and head.patient.strip() else name.rpartition("/")[0] or name
        group = pseudonym(patient, self._key)
        return Sample(where, where, self._label(name, head), group, "", {"slice": str(number)})

    def _label(self, name: str, head: Header | None) -> str:
        if self._labels is not None and head is not None:
            label = self._labels.get(head.patient.strip())
            if not label:
                raise UsageError(f"the table of labels has no line for the patient of {name}")
            return label
        if "/" in name:
            return name.partition("/")[0]
        if self._labels is not None:
            return sorted(set(self._labels.values()))[0]  # of an unreadable file, which is left out anyway
        raise UsageError(
            f"{name} lies in no class folder", "Put each class into a folder of its own, or give labels=TABLE."
        )

    def _file(self, name: str) -> Path:
        file = self.folder / name
        if not file.resolve().is_relative_to(self.folder):
            raise UnreadableDicom("the path leads out of the dataset's folder")
        return file
