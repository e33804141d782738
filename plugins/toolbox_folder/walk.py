"""Finds what lies in a folder, in the order of names, and tells what is in the way: links, loops, odd names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolbox.api.errors import UsageError
from toolbox.api.images import SUFFIXES

FOREIGN = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".psd", ".tga", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".exr"}
)
"""Endings of image formats that the reader refuses: such files are told of, not passed over."""

LEADS_OUT = "a link that leads out of the dataset's folder"
_TWICE = "a link to a folder of this dataset, which is read where it lies"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to read, or a path with the ``problem`` that prevents it."""

    path: Path
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """Walk the folders below ``root`` (resolved). Links that leave it are problems unless ``follow_links``."""

    root: Path
    follow_links: bool

    def problem(self, path: Path, through_links: bool = False) -> str:
        """Say why ``path`` must not be opened, or ``""``. ``through_links``: a parent folder may be a link."""
        try:
            path.name.encode()
        except UnicodeEncodeError:
            return "its name is not valid UTF-8"
        if not (through_links or path.is_symlink()):
            return ""
        try:
            inside = path.resolve(strict=True).is_relative_to(self.root)
        except FileNotFoundError:
            return "a broken link"
        except (OSError, RuntimeError):  # Python 3.12 and older call a loop a RuntimeError
            return "a circular link"
        return "" if inside or self.follow_links else LEADS_OUT

    def files(self, folder: Path) -> Iterator[Entry]:
        """Yield every file below ``folder`` with an image suffix, and every folder that can't be listed."""
        pending, visited = [folder], {folder.resolve()}
        while pending:
            current = pending.pop()
            if current != folder and (problem := self._reason_to_skip(current, visited)):
                yield Entry(current, problem)
                continue
            try:
                with os.scandir(current) as listing:
                    entries = sorted((entry.name, _is_folder(entry)) for entry in listing if entry.name[0] != ".")
            except OSError as error:
                yield Entry(current, f"can't be listed: {error.strerror or error}")
                continue
            for name, is_folder in entries:
                path = current / name
                if not is_folder and path.suffix.lower() in SUFFIXES | FOREIGN:
                    yield Entry(path, self.problem(path))
            pending += [current / name for name, is_folder in reversed(entries) if is_folder]

    def _reason_to_skip(self, folder: Path, visited: set[Path]) -> str:
        """Why a folder below a class folder is not entered. ``seen`` holds those that links have led to."""
        problem = self.problem(folder)
        if problem or not folder.is_symlink():
            return problem
        real = folder.resolve()
        if real.is_relative_to(self.root) or self.root.is_relative_to(real) or real in visited:
            return _TWICE
        visited.add(real)
        return ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # DirEntry.is_dir raises for a circular link; Path.is_dir returns False.
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def subfolders(folder: Path) -> list[Path]:
    """List the visible folders in ``folder``, links to folders included, by name.

    Raises
    ------
    UsageError: it can't be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise UsageError(f"can't read the folder {folder}: {error.strerror}") from error
