"""The user's cache folder: what is in it, and how it stays within its limit.

No result depends on it. Deleting everything only makes the next run slower.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs

TABLES = "tables"
"""The folder of all :class:`toolbox.cache.table.Table`, one subfolder each."""

SCRATCH = "scratch"
"""The folder of the temporary files of trainings, one subfolder each."""

ABOUT = "table.json"
"""The file that describes a table; its modification time is when the table was last used."""

PREFIX = "training-"
"""The prefix of the folders in :data:`SCRATCH`."""

DESCRIPTIONS = "near-duplicates"
"""The prefix of the files with the audit's image descriptors."""

_OWN = re.compile(
    rf"{TABLES}/[0-9a-f]{{32}}|{SCRATCH}/{PREFIX}\w+|{DESCRIPTIONS}-\d+\.sqlite(-journal|-wal|-shm)?", re.ASCII
)

DAY = 86_400


def cache_folder() -> Path:
    """``TOOLBOX_CACHE_DIR``, else the user's cache folder."""
    named = os.environ.get("TOOLBOX_CACHE_DIR", "")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("toolbox")


@dataclass(frozen=True)
class Entry:
    """A table or folder in the cache: its size in bytes on disk, and when it was last used, in Unix time."""

    path: Path
    kind: str
    about: Mapping[str, Any]
    bytes: int
    used: float

    @property
    def title(self) -> str:
        """What it is, for people."""
        names = [self.about.get(key) for key in ("of", "model", "stored")]
        size = f"{self.about['size']} px" if "size" in self.about else None
        return ", ".join(str(name) for name in (*names, size) if name) or f"{self.kind}: {self.path.name}"


def list_entries() -> list[Entry]:
    """Everything in the cache, most recently used first.

    Other files in the folder that TOOLBOX_CACHE_DIR names are neither counted nor deleted.
    """
    root = cache_folder()
    entries = []
    for path in (*_list(root), *_list(root / TABLES), *_list(root / SCRATCH)):
        if not _OWN.fullmatch(path.relative_to(root).as_posix()) or path.is_symlink():
            continue
        if path.parent == root:
            entries.append(_entry(path, "descriptions"))
        else:
            entries.append(_table(path) if path.parent.name == TABLES else _entry(path, SCRATCH))
    return sorted(entries, key=lambda entry: -entry.used)


def _list(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def delete_entries(entries: Iterable[Entry]) -> tuple[int, list[Path]]:
    """Delete ``entries``; returns the bytes freed, and the paths not deleted (in use on Windows, no permission)."""
    freed, failed = 0, []
    for entry in entries:
        if entry.path.is_dir():
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                entry.path.unlink()
        if entry.path.exists():
            failed.append(entry.path)
        else:
            freed += entry.bytes
    return freed, failed


def make_room(needed: int, limit: int, keep: Path) -> bool:
    """Make room for ``needed`` more bytes in the table ``keep``, and return whether they fit.

    The tables together may take ``limit`` bytes; the least recently used ones are deleted, ``keep`` never.
    """
    tables = [entry for entry in list_entries() if entry.kind == "table"]
    total = sum(entry.bytes for entry in tables)
    own = sum(entry.bytes for entry in tables if entry.path == keep)
    if own + needed > limit:
        return False
    for entry in reversed(tables):
        if total + needed <= limit and needed <= _free(keep):
            break
        if entry.path != keep and not delete_entries([entry])[1]:
            total -= entry.bytes
    return total + needed <= limit and needed <= _free(keep)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for memory-mapped files, in the cache or, without write access, where the system has its own.

    Also deletes folders that killed trainings left more than a day ago.
    """
    delete_entries(entry for entry in list_entries() if entry.kind == SCRATCH and time.time() - entry.used > DAY)
    parent = cache_folder() / SCRATCH
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True)
    except OSError:
        folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    with folder as name:
        yield Path(name)


def _free(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _table(folder: Path) -> Entry:
    entry = _entry(folder, "table")
    with contextlib.suppress(OSError):
        entry = replace(entry, used=(folder / ABOUT).stat().st_mtime)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads((folder / ABOUT).read_text("utf-8"))["about"]
        entry = replace(entry, about=about if isinstance(about, dict) else {})
    return entry


def _entry(path: Path, kind: str) -> Entry:
    size, used = 0, 0.0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with contextlib.suppress(OSError):
            info = file.stat()
            size += info.st_size if file.is_file() else 0
            used = max(used, info.st_mtime)
    return Entry(path, kind, {}, size, used)
