"""The image files that arguments name: files, folders, and patterns that no shell has expanded."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from toolbox.api.errors import UsageError
from toolbox.api.images import SUFFIXES


def list_images(arguments: Iterable[str | Path]) -> list[Path]:
    """The files that ``arguments`` name, in their order; what is named twice comes twice.

    A file is taken as it is. A folder stands for the image files in it, to any depth, by name; hidden ones and what
    is no image by its ending are passed over. Anything else with ``*``, ``?`` or ``[`` is a pattern (``**`` for any
    depth), in whose place come its matches, the folders among them as folders.

    Raises
    ------
    UsageError: there is no such file, no image in a folder, no match, or a folder can't be read.
    """
    return [path for argument in arguments for path in _of(argument)]


def _of(argument: str | Path) -> list[Path]:
    text = str(argument)
    path = Path(text).expanduser()
    try:
        # Even a name with brackets is a name where such a file exists.
        if text and path.is_dir():
            return _some(list(_inside(path)), f"the folder {text} holds no images")
        if text and path.exists():
            return [path]
        if glob.has_magic(text):
            return _some(list(_matching(str(path))), f"no image matches {text}")
    except (OSError, ValueError) as error:  # names too long, or with a null character
        raise UsageError(f"can't look at {text!r}: {error}") from error
    raise UsageError(f"there is no file or folder {text}", "Give image files, folders, or patterns in quotes.")


def _matching(pattern: str) -> Iterator[Path]:
    deep = "**" in pattern
    for name in sorted(glob.iglob(pattern, recursive=True)):  # noqa: PTH207  # takes absolute patterns
        path = Path(name)
        if path.is_dir():
            # With ** the files of a folder are matches themselves.
            yield from () if deep else _inside(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path


def _inside(folder: Path) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        raise UsageError(f"can't read the folder {error.filename}: {error.strerror}") from error

    for current, folders, files in os.walk(folder, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(current) / name


def _some(paths: list[Path], otherwise: str) -> list[Path]:
    if not paths:
        raise UsageError(otherwise, f"Images are known by their ending: {', '.join(sorted(SUFFIXES))}.")
    return paths
