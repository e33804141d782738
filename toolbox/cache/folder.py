"""Where the toolbox keeps what it can make again, what lies there, and how it is kept small.

Nothing here is needed for a result: whoever deletes all of it only waits longer the next time.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

TABLES = "tables"
"""The folder of :class:`toolbox.cache.table.Table`, one folder each."""

SCRATCH = "scratch"
"""The folder of what a training needs while it runs, a folder each."""

ABOUT = "table.json"
"""What a table is about; its time of change is when the table was last used."""

PREFIX = "training-"
"""How the folders in :data:`SCRATCH` begin."""

DESCRIPTIONS = "near-duplicates"
"""How the files of the audit's descriptions begin."""

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
    """Something that lies in the cache. ``bytes`` on disk; ``used``: seconds since the epoch."""

    path: Path
    kind: str
    about: Mapping[str, Any]
    bytes: int
    used: float

    @property
    def words(self) -> str:
        """What it is, for people."""
        said = [self.about.get(name) for name in ("of", "model", "stored")]
        size = f"{self.about['size']} px" if "size" in self.about else None
        return ", ".join(str(word) for word in (*said, size) if word) or f"{self.kind}: {self.path.name}"


def entries() -> list[Entry]:
    """What lies in the cache, what was used last first.

    What the toolbox did not put there is somebody else's, whatever folder TOOLBOX_CACHE_DIR names: it is neither
    counted nor deleted.
    """
    root = cache_folder()
    found = []
    for path in (*_in(root), *_in(root / TABLES), *_in(root / SCRATCH)):
        if not _OWN.fullmatch(path.relative_to(root).as_posix()) or path.is_symlink():
            continue
        if path.parent == root:
            found.append(_other(path, "descriptions"))
        else:
            found.append(_table(path) if path.parent.name == TABLES else _other(path, SCRATCH))
    return sorted(found, key=lambda entry: -entry.used)


def _in(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def clear(chosen: Iterable[Entry]) -> tuple[int, list[Path]]:
    """Delete entries: the bytes that this freed, and what could not be deleted (in use on Windows, no permission)."""
    freed, left = 0, []
    for entry in chosen:
        if entry.path.is_dir():
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                entry.path.unlink()
        if entry.path.exists():
            left.append(entry.path)
        else:
            freed += entry.bytes
    return freed, left


def make_room(needed: int, limit: int, keep: Path) -> bool:
    """Whether ``needed`` more bytes fit into tables of ``limit`` bytes in all, and on the disk.

    For that the tables that were used longest ago go, ``keep`` never.
    """
    tables = [entry for entry in entries() if entry.kind == "table"]
    total = sum(entry.bytes for entry in tables)
    own = sum(entry.bytes for entry in tables if entry.path == keep)
    if own + needed > limit:
        return False
    for entry in reversed(tables):
        if total + needed <= limit and needed <= _free(keep):
            break
        if entry.path != keep and not clear([entry])[1]:
            total -= entry.bytes
    return total + needed <= limit and needed <= _free(keep)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for memory-mapped files, in the cache or, without write access, where the system has its own.

    Also deletes folders that killed trainings left more than a day ago.
    """
    clear(entry for entry in entries() if entry.kind == SCRATCH and time.time() - entry.used > DAY)
    parent = cache_folder() / SCRATCH
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True)
    except OSError:
        folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    with folder as name:
        yield Path(name)


def _free(path: Path) -> int:
    place = path
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _table(folder: Path) -> Entry:
    about: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        loaded = json.loads((folder / ABOUT).read_text("utf-8"))
        about = loaded.get("about", {}) if isinstance(loaded, dict) else {}
    entry = _other(folder, "table", about if isinstance(about, dict) else {})
    with contextlib.suppress(OSError):
        entry = Entry(folder, "table", entry.about, entry.bytes, (folder / ABOUT).stat().st_mtime)
    return entry


def _other(path: Path, kind: str, about: Mapping[str, Any] | None = None) -> Entry:
    size, used = 0, 0.0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with contextlib.suppress(OSError):
            info = file.stat()
            size += info.st_size if file.is_file() else 0
            used = max(used, info.st_mtime)
    return Entry(path, kind, about or {}, size, used)
