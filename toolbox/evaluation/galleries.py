"""Pictures that evaluators give: PNG files in ``runs/<id>/figures/``, and what ``evaluation.json`` says of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Gallery, Picture
from toolbox.api.images import UnreadableImage, decode, read_file
from toolbox.files import atomic
from toolbox.files.names import safe_name
from toolbox.runs import folder as runs
from toolbox.runs.folder import Run

MAX_SIDE = 512
"""Pixels; larger pictures are shrunk."""


def keep(run: Run, gallery: Gallery, folder: str) -> dict[str, Any]:
    """Write the pictures of ``gallery`` to ``figures/<folder>/01.png`` and so on; what to say of them in JSON.

    Raises
    ------
    EnvironmentFailure: a file can't be written.
    """
    pictures = []
    for number, picture in enumerate(gallery.pictures, start=1):
        file = PurePosixPath(runs.FIGURES, safe_name(folder), f"{number:02d}.png")
        image = picture.image if picture.image.mode in ("L", "RGB") else picture.image.convert("RGB")
        if max(image.size) > MAX_SIDE:
            image = image.copy()
            image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        # To memory first: Pillow leaves a cut-off file on a full disk without a word.
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        atomic.write_bytes(run.path / file, buffer.getvalue())
        pictures.append({"file": str(file), "alt": picture.alt, "caption": picture.caption})
    return {
        "name": gallery.name,
        "title": gallery.title,
        "note": gallery.note,
        "shows_data": gallery.shows_data,
        "pictures": pictures,
    }


def read(run: Run, document: Mapping[str, Any] | None = None) -> list[Gallery]:
    """The galleries of ``evaluation.json`` (or of ``document``), those without a readable picture left out.

    Raises
    ------
    UsageError: what is said of them is incomplete.
    """
    found = []
    said = (run.evaluation if document is None else document).get("galleries", [])
    try:
        for each in said:
            pictures = list(_pictures(run, each["pictures"]))
            if pictures:
                found.append(Gallery(each["name"], each["title"], pictures, each["note"], each["shows_data"]))
    except (KeyError, TypeError) as error:
        raise UsageError(f"the galleries of {run.id} are incomplete: {error}") from error
    return found


def tidy(run: Run, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Delete the pictures that the evaluation ``before`` named and ``after`` does not."""
    stale = set(_files(before)) - set(_files(after))
    for path in filter(None, (_inside(run, file) for file in sorted(stale))):
        with suppress(OSError):  # a picture that can't be deleted is in nobody's way
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _pictures(run: Run, listed: Sequence[Mapping[str, str]]) -> Iterator[Picture]:
    for each in listed:
        path = _inside(run, each["file"])
        if path is None:
            continue
        with suppress(UnreadableImage):
            yield Picture(decode(read_file(path)).image, each["alt"], each["caption"])


def _files(document: Mapping[str, Any]) -> Iterable[str]:
    try:
        return [str(picture["file"]) for each in document.get("galleries", []) for picture in each["pictures"]]
    except (KeyError, TypeError):
        return []


def _inside(run: Run, file: str) -> Path | None:
    """The picture ``file`` of the run; ``None`` where the path leads out of its figures."""
    figures = (run.path / runs.FIGURES).resolve()
    path = (run.path / file).resolve()
    return path if path.is_relative_to(figures) and path.suffix == ".png" else None
