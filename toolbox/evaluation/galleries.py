"""Pictures that evaluators give: PNG files in ``runs/<id>/figures/``, named in ``evaluation.json``."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from PIL import Image

from toolbox.api.evaluator import Gallery, Picture
from toolbox.api.images import UnreadableImage, decode, read_file
from toolbox.files import atomic
from toolbox.files.names import safe_name
from toolbox.runs.evaluation import EvaluationRecord, GalleryRecord, PictureRecord
from toolbox.runs.folder import FIGURES, Run

MAX_SIDE = 512
"""Pixels; larger pictures are shrunk."""


def write_gallery(run: Run, gallery: Gallery, folder: str) -> GalleryRecord:
    """Write the pictures of ``gallery`` to ``figures/<folder>/01.png`` and so on.

    Raises
    ------
    EnvironmentFailure: a file can't be written.
    """
    pictures = []
    for number, picture in enumerate(gallery.pictures, start=1):
        file = PurePosixPath(FIGURES, safe_name(folder), f"{number:02d}.png")
        image = picture.image if picture.image.mode in ("L", "RGB") else picture.image.convert("RGB")
        if max(image.size) > MAX_SIDE:
            image = image.copy()
            image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        # To memory first: on a full disk Pillow can leave a truncated file without an exception.
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        atomic.write_bytes(run.path / file, buffer.getvalue())
        pictures.append(PictureRecord(file=str(file), alt=picture.alt, caption=picture.caption))
    return GalleryRecord(
        name=gallery.name, title=gallery.title, note=gallery.note, shows_data=gallery.shows_data, pictures=pictures
    )


def read_galleries(run: Run, galleries: Sequence[GalleryRecord]) -> list[Gallery]:
    """The galleries with their pictures; those without a readable picture are left out."""
    read = [(gallery, list(_pictures(run, gallery.pictures))) for gallery in galleries]
    return [
        Gallery(gallery.name, gallery.title, pictures, gallery.note, gallery.shows_data)
        for gallery, pictures in read
        if pictures
    ]


def delete_stale(run: Run, before: EvaluationRecord, after: EvaluationRecord) -> None:
    """Delete the pictures that ``before`` names and ``after`` does not."""
    for path in filter(None, (_inside(run, file) for file in sorted(_files(before) - _files(after)))):
        with suppress(OSError):  # a picture that can't be deleted does no harm
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _pictures(run: Run, records: Sequence[PictureRecord]) -> Iterator[Picture]:
    for record in records:
        path = _inside(run, record.file)
        if path is not None:
            with suppress(UnreadableImage):
                yield Picture(decode(read_file(path)).image, record.alt, record.caption)


def _files(evaluation: EvaluationRecord) -> set[str]:
    return {picture.file for gallery in evaluation.galleries for picture in gallery.pictures}


def _inside(run: Run, file: str) -> Path | None:
    """The path of a picture; ``None`` where it leads out of the run's figures."""
    figures = (run.path / FIGURES).resolve()
    path = (run.path / file).resolve()
    return path if path.is_relative_to(figures) and path.suffix == ".png" else None
