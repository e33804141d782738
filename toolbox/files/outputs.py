"""Files that the user names, as with ``--csv`` or ``--output``: nothing but the toolbox's own is ever replaced."""

from __future__ import annotations

import mmap
from pathlib import Path

from toolbox.api.errors import UsageError
from toolbox.files import atomic

MARK = "Written by toolbox"
"""Stands in every page and picture that the toolbox writes where the user says, so that it may be replaced later."""

_MARKS = (MARK.encode(), b"<footer><p>toolbox ")  # the second: audit pages of version 0.1
# Tables and JSON have no room for a mark: these are known by how they begin.
_BEGINNINGS = (
    b"path,prediction,probability,",
    b'{\n  "schema": 1,\n  "title": ',
    b'{\n  "schema": 1,\n  "leaks": ',
)


def check_output(path: Path, overwrite: bool = False) -> None:
    """Refuse to replace what the toolbox did not write. Empty files, devices and pipes have nothing to lose.

    Raises
    ------
    UsageError: ``path`` is a folder, or somebody else's file and ``overwrite`` is not set.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "Give the name of a file.")
    if path.exists() and not overwrite and not atomic.is_stream(path) and not _is_ours(path):
        raise UsageError(
            f"{path} exists, and toolbox did not write it", "Choose another name, or give --force to replace it."
        )


def write_output(path: Path, data: bytes, overwrite: bool = False) -> None:
    """Write ``data`` to ``path``, whole or not at all, unless :func:`check_output` refuses.

    Raises
    ------
    UsageError: see :func:`check_output`.
    EnvironmentFailure: it can't be written; what was there before is then still there.
    """
    check_output(path, overwrite)
    atomic.write_bytes(path, data)


def _is_ours(path: Path) -> bool:
    with atomic.translate_os_errors("read", path), path.open("rb") as file:
        if not path.stat().st_size:
            return True
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data[:64].startswith(_BEGINNINGS) or any(data.find(mark) >= 0 for mark in _MARKS)
