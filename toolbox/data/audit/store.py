"""Keeps descriptions and registrations across commands, by the hash of the pixels that they were made from.

It is only a cache: whatever is wrong with it (damaged, locked, no permission, disk full), what it would have answered
is computed again, without a message. Processes may share it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from toolbox.cache.folder import cache_folder
from toolbox.data.audit.describe import SIDE, VERSION
from toolbox.data.audit.register import Registration

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS description (pixels TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registration (first TEXT, second TEXT, score REAL, smallest REAL, largest REAL,
    rotation REAL, mirrored INTEGER, PRIMARY KEY (first, second)) WITHOUT ROWID;
"""
_PATIENCE = 2.0  # seconds to wait for another process; recomputing is never far away
_AT_ONCE = 500  # rows of one question; old SQLite takes 999 variables


class Store:
    """The cache file, or nothing at all where it can't be used. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = _connect(path)

    def descriptions(self, pixels: Sequence[str]) -> dict[str, npt.NDArray[np.float16]]:
        """The known descriptions (float16 ``[2, 256]``) of pictures with these hashes."""
        by_pixels: dict[str, npt.NDArray[np.float16]] = {}
        for start in range(0, len(pixels), _AT_ONCE):
            some = pixels[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            question = f"SELECT pixels, data FROM description WHERE pixels IN ({marks})"
            for key, data in self._ask(question, some):
                if isinstance(data, bytes) and len(data) == 2 * 2 * SIDE * SIDE:
                    values = np.frombuffer(data, "<f2").reshape(2, SIDE * SIDE).astype(np.float16)
                    if np.isfinite(values).all():
                        by_pixels[key] = values
        return by_pixels

    def keep_descriptions(self, items: Iterable[tuple[str, npt.NDArray[np.float16]]]) -> None:
        """Remember descriptions by their pictures' hashes."""
        rows = [(pixels, description.astype("<f2").tobytes()) for pixels, description in items]
        self._write("INSERT OR REPLACE INTO description VALUES (?, ?)", rows)

    def registrations(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Registration]:
        """The known registrations of pictures with these pairs of hashes."""
        by_pair: dict[tuple[str, str], Registration] = {}
        requested = set(pairs)
        firsts = sorted({first for first, _ in pairs})
        for start in range(0, len(firsts), _AT_ONCE):
            some = firsts[start : start + _AT_ONCE]
            question = (
                "SELECT first, second, score, smallest, largest, rotation, mirrored FROM registration"
                f" WHERE first IN ({','.join('?' * len(some))})"
            )
            for first, second, *numbers, mirrored in self._ask(question, some):
                if (first, second) in requested and all(isinstance(number, float) for number in numbers):
                    score, smallest, largest, rotation = numbers
                    if abs(score) <= 1 and 0 < smallest <= largest:
                        by_pair[first, second] = Registration(score, smallest, largest, rotation, bool(mirrored))
        return by_pair

    def keep_registrations(self, items: Iterable[tuple[tuple[str, str], Registration]]) -> None:
        """Remember registrations by their pictures' hashes, in the order that they were registered in."""
        rows = [
            (
                *pair,
                registration.score,
                registration.smallest,
                registration.largest,
                registration.rotation,
                int(registration.mirrored),
            )
            for pair, registration in items
        ]
        self._write("INSERT OR REPLACE INTO registration VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _ask(self, question: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        return self._tried(lambda connection: connection.execute(question, values).fetchall()) or []

    def _write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(statement, rows)

        if rows:
            self._tried(write)

    def _tried(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """``work`` on the file; where it fails, the file is left alone from then on, or rebuilt if damaged."""
        if self._connection is None:
            return None
        try:
            return work(self._connection)
        except sqlite3.OperationalError:  # locked, read-only, disk full
            self.close()
        except (sqlite3.Error, OverflowError, ValueError):
            self.close()
            self._connection = _connect(self._path, rebuild=True)
        return None


@contextlib.contextmanager
def opened() -> Iterator[Store]:
    """The user's cache, closed at the end."""
    store = Store(cache_folder() / f"near-duplicates-{VERSION}.sqlite")
    try:
        yield store
    finally:
        store.close()


def _connect(path: Path, rebuild: bool = False) -> sqlite3.Connection | None:
    """Open the database at ``path``, recreated if damaged; ``None`` if that fails."""
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if rebuild:
            path.unlink(missing_ok=True)
        connection = sqlite3.connect(path, timeout=_PATIENCE)
        connection.executescript(_TABLES)
        return connection
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        return _connect(path, rebuild=True) if damaged and not rebuild else None
