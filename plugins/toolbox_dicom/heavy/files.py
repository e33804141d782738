"""Reads DICOM files: what a slice is called and where it belongs, and its picture."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import apply_modality_lut, pixel_array

from toolbox.api.images import MAX_PIXELS

# pydicom's warnings quote the tags' values. For good, not for a block: the readers are threads.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

MAX_FRAMES = 10_000
MAX_BYTES = 1024 * 1024 * 1024

DECODED = {
    "1.2.840.10008.1.2": "implicit VR little endian",
    "1.2.840.10008.1.2.1": "explicit VR little endian",
    "1.2.840.10008.1.2.2": "explicit VR big endian",
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.90": "JPEG 2000, lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
}
"""Transfer syntaxes that pydicom decodes with numpy and Pillow alone."""

_TAGS = [
    "PatientID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
]


class UnreadableDicom(ValueError):
    """A file that gives no picture; the text is the reason that ``quarantine.csv`` states. It never quotes a tag,
    since tags name people."""


@dataclass(frozen=True, slots=True)
class Header:
    """What sorting and grouping need of a file. ``patient`` and ``series`` never leave the plugin unhashed."""

    patient: str
    series: str
    position: float
    frames: int


def dicom_files(folder: Path) -> Iterator[Path]:
    """Every DICOM file below ``folder``, by path: by its ending, or by the preamble that the standard asks for."""
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.is_file() or path.name == "DICOMDIR":
            continue
        # Scanners call files 1.2.840.5 or IM.0001: what looks like an ending may be none.
        if path.suffix.lower() in (".dcm", ".dicom", ".ima") or _has_preamble(path):
            yield path


def read_header(path: Path) -> Header:
    """The file's header; pixels are not read.

    Raises
    ------
    UnreadableDicom: it is no DICOM file with pixels.
    """
    dataset = _read(path, headers_only=True)
    frames = _number(dataset, "NumberOfFrames", 1)
    if not 1 <= frames <= MAX_FRAMES:
        raise UnreadableDicom(f"claims {frames:,} frames; the limit is {MAX_FRAMES:,}")
    return Header(
        str(dataset.get("PatientID") or ""), str(dataset.get("SeriesInstanceUID") or ""), _position(dataset), frames
    )


def read_picture(path: Path, frame: int, window: tuple[float, float]) -> Image.Image:
    """Frame ``frame`` of a file, mode ``L`` or ``RGB``; ``info["note"]`` says how its values became 8-bit grey.

    The modality look-up is applied as the file says (pydicom), then its window (the first, linear; DICOM PS3.3
    C.11.2.1.2); without one the percentiles ``window`` of the values are. MONOCHROME1 is turned over, so that more
    signal is always brighter.

    Raises
    ------
    UnreadableDicom: it can't be decoded here.
    """
    dataset = _read(path, headers_only=False)
    _check(dataset)
    try:
        values = pixel_array(dataset, index=frame)
        if values.ndim == 3:
            return _colour(values)
        values = np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)
        own = _own_window(dataset)
    except UnreadableDicom:
        raise
    except Exception as error:  # decoders raise anything on hostile input, and their words may quote tags
        raise UnreadableDicom(f"can't be decoded: {type(error).__name__}") from None
    low, high = own or map(float, np.percentile(values, window))
    grey = np.rint(np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255)).astype(np.uint8)
    if str(dataset.get("PhotometricInterpretation")) == "MONOCHROME1":
        grey = 255 - grey
    image = Image.fromarray(grey)
    how = "its own window" if own else f"percentiles {window[0]:g} and {window[1]:g}"
    image.info["note"] = f"values {low:g} to {high:g} ({how}) windowed to 0 to 255"
    return image


def _read(path: Path, headers_only: bool) -> pydicom.Dataset:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableDicom(f"the file is larger than {MAX_BYTES // 1024**2} MiB")
        # Before anything else: a deflated file would be inflated whole, however large it says it is.
        syntax = str(read_file_meta_info(path).get("TransferSyntaxUID", ""))
        if syntax not in DECODED:
            name = pydicom.uid.UID(syntax).name if syntax else "unknown"
            raise UnreadableDicom(f"its transfer syntax ({name}) is not decoded here; convert it with gdcmconv --raw")
        return pydicom.dcmread(path, stop_before_pixels=headers_only, specific_tags=_TAGS if headers_only else None)
    except (UnreadableDicom, OSError):
        raise
    except Exception as error:
        raise UnreadableDicom(f"no DICOM file: {type(error).__name__}") from None


def _check(dataset: pydicom.Dataset) -> None:
    rows, columns = _number(dataset, "Rows", 0), _number(dataset, "Columns", 0)
    if rows < 1 or columns < 1 or "PixelData" not in dataset:
        raise UnreadableDicom("holds no picture")
    if str(dataset.get("PhotometricInterpretation")) == "PALETTE COLOR":
        raise UnreadableDicom("pictures of palette colours are not read")
    if rows * columns > MAX_PIXELS:
        raise UnreadableDicom(f"claims {columns} × {rows} pixels; the limit is {MAX_PIXELS // 10**6} million")
    if not 1 <= _number(dataset, "NumberOfFrames", 1) <= MAX_FRAMES:
        raise UnreadableDicom("claims an absurd number of frames")


def _own_window(dataset: pydicom.Dataset) -> tuple[float, float] | None:
    """The values that the file itself wants black and white, if it says so."""
    ends = []
    for tag in ("WindowCenter", "WindowWidth"):
        value = dataset.get(tag)
        if value is None or value == "":
            return None
        ends.append(float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value))
    center, width = ends
    if not width > 1:
        return None
    return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2


def _colour(values: npt.NDArray[np.generic]) -> Image.Image:
    if values.shape[2] != 3 or values.dtype != np.uint8:
        raise UnreadableDicom(f"{values.shape[2]} channels of {values.dtype} are not read")
    return Image.fromarray(np.ascontiguousarray(values))


def _number(dataset: pydicom.Dataset, tag: str, default: int) -> int:
    try:
        value = dataset.get(tag)
        return default if value in (None, "") else int(value)
    except Exception:
        raise UnreadableDicom(f"its {tag} is no number") from None


def _position(dataset: pydicom.Dataset) -> float:
    """Where the slice lies along the normal of its plane, in mm; without that its number in the series."""
    try:
        x, y, z = (float(value) for value in dataset["ImagePositionPatient"].value)
        row, column = np.reshape([float(value) for value in dataset["ImageOrientationPatient"].value], (2, 3))
        return float(np.dot(np.cross(row, column), (x, y, z)))
    except Exception:  # missing, or not the numbers that they should be
        try:
            return float(_number(dataset, "InstanceNumber", 0))
        except UnreadableDicom:
            return 0.0


def _has_preamble(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
