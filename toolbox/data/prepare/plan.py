"""What preprocessing is to do: checked, named, and measured on a few images."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from PIL import Image

from toolbox.api.errors import UsageError
from toolbox.api.images import decode, resize_to_square
from toolbox.api.progress import Reporter
from toolbox.data import index
from toolbox.data.index import Index
from toolbox.data.manifest import Row
from toolbox.data.prepare.names import name_files
from toolbox.data.source import Source
from toolbox.files import atomic, fingerprint

FOLDER = "prepared"
FILE_NAME = "prepared.json"
JPEG_QUALITY = 95
MAX_SIDE = 4096
_SUFFIX = {"png": ".png", "jpeg": ".jpg"}
_PROBED = 8


@dataclass(frozen=True)
class PrepareRecipe:
    """Everything that decides the bytes of a prepared folder.

    ``size``: side of the square in pixels; ``channels``: ``1``, ``3`` or ``keep``; ``format``: ``png`` or
    ``jpeg``; ``sources``: a fingerprint of the
    samples with everything that is kept of them.
    """

    size: int
    channels: str
    format: str
    sources: str

    @property
    def name(self) -> str:
        """What the folder is called where the user says nothing."""
        kind = {"1": "grey", "3": "rgb"}.get(self.channels, "as-is")
        return f"{self.size}-{kind}-{fingerprint.of_record(asdict(self))[:8]}"


@dataclass(frozen=True)
class PreparePlan:
    """What is to be done: ``files`` holds, for each sample, its path below the new folder ``out``."""

    recipe: PrepareRecipe
    source: Source
    index: Index
    out: Path
    files: Mapping[str, str]
    exists: bool


@dataclass(frozen=True)
class PrepareEstimate:
    """What it will take, from doing a few of the images in memory. ``bytes`` counts whole blocks of the disk."""

    files: int
    bytes: int
    seconds: float


def make_plan(
    source: Source, size: int, channels: str, kind: str, out: Path | None, place: Path, reporter: Reporter
) -> PreparePlan:
    """What is to be done; reads every image and writes nothing. Without ``out`` the folder gets a name in ``place``.

    Raises
    ------
    UsageError: bad values, or ``out`` is there and not empty, or lies in the dataset's folder: before an image is
        read. What :func:`toolbox.data.index.build_index` raises.
    """
    _check_values(size, channels, kind)
    _check_place(source, out, place)
    dataset_index = index.build_index(source, reporter)
    recipe = PrepareRecipe(size, channels, kind, _fingerprint(dataset_index))
    folder = (out if out is not None else place / recipe.name).resolve()
    exists = _holds(folder, recipe)
    if out is not None and not exists:
        _check_empty(out)
    return PreparePlan(
        recipe, source, dataset_index, folder, name_files(dataset_index.manifest.rows, source, _SUFFIX[kind]), exists
    )


def _check_values(size: int, channels: str, kind: str) -> None:
    if not 1 <= size <= MAX_SIDE:
        raise UsageError(f"--size {size} is not between 1 and {MAX_SIDE} pixels")
    if channels not in ("1", "3", "keep"):
        raise UsageError(f"--channels {channels!r} is none of 1, 3, keep")
    if kind not in _SUFFIX:
        raise UsageError(f"--format {kind!r} is none of {', '.join(_SUFFIX)}")


def _check_place(source: Source, out: Path | None, place: Path) -> None:
    folder = place if out is None else out
    if source.holds(folder):
        raise UsageError(
            f"{folder} lies in the dataset's own folder, where its files would become images of the dataset",
            "Give --out a folder elsewhere, or --workspace another place to work in.",
        )
    if out is not None and not (out / FILE_NAME).is_file():
        _check_empty(out)


def _check_empty(out: Path) -> None:
    with atomic.translate_os_errors("read", out):
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file", "Choose a new folder with --out.")
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out} exists and is not empty", "Choose a new folder with --out.")


def _holds(folder: Path, recipe: PrepareRecipe) -> bool:
    """Whether ``folder`` is the complete result of ``recipe``: an earlier call may have been killed at its very end."""
    try:
        document = json.loads((folder / FILE_NAME).read_text("utf-8"))
        return bool(document.items() >= asdict(recipe).items())
    except (OSError, ValueError, AttributeError):
        return False


def estimate(plan: PreparePlan) -> PrepareEstimate:
    """Disk and time, from some images spread over the dataset; writes nothing."""
    rows = plan.index.manifest.rows
    probed = rows[:: max(1, len(rows) // _PROBED)][:_PROBED]
    start = time.perf_counter()
    sizes = [len(render(row, plan)[1]) for row in probed]
    seconds = (time.perf_counter() - start) / len(probed) * len(rows)
    # A file takes whole blocks of the disk, 4 KiB on the usual ones.
    blocks = sum(size // 4096 + 1 for size in sizes) / len(sizes) * 4096
    return PrepareEstimate(len(rows), int(blocks * len(rows)), seconds)


def _fingerprint(dataset_index: Index) -> str:
    rows = sorted(dataset_index.manifest.rows, key=lambda row: row.id)
    return fingerprint.of_record([[asdict(row) for row in rows], sorted(dataset_index.notes)])


def render(row: Row, plan: PreparePlan) -> tuple[Row, bytes]:
    """The sample as a file of the new folder, in memory, and its row there.

    Raises
    ------
    toolbox.data.source.ImageChanged: the source is gone, or no longer what it was when the plan was made.
    """
    source = plan.source.image(row)
    image = resize_to_square(source, plan.recipe.size)
    if plan.recipe.channels != "keep":
        image = image.convert("L" if plan.recipe.channels == "1" else "RGB")
    data = _encoded(image, plan.recipe.format)
    prepared = replace(
        row,
        path=plan.files[row.id],
        sha256=fingerprint.of_bytes(data),
        # What a reader will see: of a JPEG not what was put in.
        pixels=fingerprint.of_pixels(decode(data).image),
        width=image.width,
        height=image.height,
        columns={**row.columns, **_origin(row)},
    )
    return prepared, data


def _origin(row: Row) -> dict[str, str]:
    """Where an image comes from, in columns that the user's own don't use."""
    origin = {"source_path": row.path, "source_sha256": row.sha256}
    while any(name in row.columns for name in origin):
        origin = {f"{name}_": value for name, value in origin.items()}
    return origin


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()  # in memory first: saving to a full disk may cut a file off silently
    if kind == "png":
        image.save(buffer, "PNG", compress_level=6)
    else:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
