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
class Found:
    """A file to be read, or something with a ``problem`` that can't be."""

    path: Path
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """Walks below ``root`` (resolved). What leads out of it is a problem unless ``follow_links``."""

    root: Path
    follow_links: bool

    def problem(self, path: Path, through_links: bool = False) -> str:
        """Why ``path`` is not to be opened; empty if it is. ``through_links``: a folder above it may be a link."""
        try:
            path.name.encode()
        except UnicodeEncodeError:
            return "its name is no valid text (UTF-8)"
        if not (through_links or path.is_symlink()):
            return ""
        try:
            inside = path.resolve(strict=True).is_relative_to(self.root)
        except FileNotFoundError:
            return "a link that leads nowhere"
        except (OSError, RuntimeError):  # Python 3.12 and older call a loop a RuntimeError
            return "a link that leads in a circle"
        return "" if inside or self.follow_links else LEADS_OUT

    def files(self, folder: Path) -> Iterator[Found]:
        """Everything below ``folder`` that has an image's ending, and what could not be looked into."""
        waiting, seen = [folder], {folder.resolve()}
        while waiting:
            current = waiting.pop()
            if current != folder and (problem := self._not_entered(current, seen)):
                yield Found(current, problem)
                continue
            try:
                with os.scandir(current) as listing:
                    entries = sorted((entry.name, _is_folder(entry)) for entry in listing if entry.name[0] != ".")
            except OSError as error:
                yield Found(current, f"can't be looked into: {error.strerror or error}")
                continue
            for name, is_folder in entries:
                path = current / name
                if not is_folder and path.suffix.lower() in SUFFIXES | FOREIGN:
                    yield Found(path, self.problem(path))
            waiting += [current / name for name, is_folder in reversed(entries) if is_folder]

    def _not_entered(self, folder: Path, seen: set[Path]) -> str:
        """Why a folder below a class folder is not entered. ``seen`` holds those that links have led to."""
        problem = self.problem(folder)
        if problem or not folder.is_symlink():
            return problem
        real = folder.resolve()
        if real.is_relative_to(self.root) or self.root.is_relative_to(real) or real in seen:
            return _TWICE
        seen.add(real)
        return ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Of a link in a circle the entry itself raises; a path says no.
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def subfolders(folder: Path) -> list[Path]:
    """The folders in ``folder`` that are not hidden, links to folders included, by name.

    Raises
    ------
    UsageError: it can't be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise UsageError(f"can't read the folder {folder}: {error.strerror}") from error
