"""Arrays of one shape, kept by key in one memory-mapped file, and shared by all runs of a user.

A row's key says which image it was made of, the table's own name says of everything else that it depends on. Rows are
only ever added. Their bytes are durable before their key is written, so that a process killed at any point leaves
rows that are whole; each has a checksum, and one that is damaged is made again. One process adds at a time, the
others wait and then find what it made.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toolbox.cache import folder as folders
from toolbox.files import atomic, fingerprint

_VALUES, _KEYS = "values.bin", "keys.txt"
_AT_ONCE = 256_000_000  # bytes between two syncs: what was done survives an interruption

Made = Iterator[npt.NDArray[Any]]
"""Rows in the order in which they were asked for, some at a time: ``[B, …]`` of the table's type."""


class NoRoom(Exception):
    """The table would become too large. ``needed``: bytes for the rows that are missing."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


@dataclass(frozen=True)
class Rows:
    """``values[places]`` is what was asked for: a read-only array ``[M, …]`` on disk, and int64 ``[N]``."""

    values: npt.NDArray[Any]
    places: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """A copy of the rows at ``indices``: ``[B, …]``."""
        return np.take(self.values, self.places[indices], axis=0)


class Table:
    """The table that is ``about`` something: all that its rows depend on but the key, as JSON."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self.about = about
        name = fingerprint.of_bytes(json.dumps(about, sort_keys=True).encode())[:32]
        self.folder = folders.cache_folder() / folders.TABLES / name

    def rows(
        self,
        keys: Sequence[str],
        shape: Callable[[], tuple[int, ...]],
        dtype: npt.DTypeLike,
        make: Callable[[npt.NDArray[np.int64]], Made],
        limit: int,
        waiting: Callable[[], None] = lambda: None,
    ) -> Rows:
        """The rows of ``keys``; those that are not there yet are made and kept.

        Parameters
        ----------
        keys: one for each row wanted, without line breaks; equal keys share a row.
        shape: gives a row's shape; asked only of a new table.
        make: gives the rows for the positions in ``keys`` that it is handed.
        limit: bytes that all tables together may take; the ones used longest ago go to make room.
        waiting: called if another process is adding to the table.

        Raises
        ------
        NoRoom: the rows don't fit.
        EnvironmentFailure: the disk is full or can't be written.
        """
        atomic.make_folder(self.folder)
        with atomic.translate_os_errors("write", self.folder), self._locked(waiting):
            kind = np.dtype(dtype)
            form = self._form(kind) or self._begin(tuple(shape()), kind)
            os.utime(self.folder / folders.ABOUT)  # so that nobody takes it for one that is not used any more
            known = self._known(form, kind, set(keys))
            fresh = {key: at for at, key in enumerate(keys) if key not in known}
            if fresh:
                size = self._bytes(form, kind)
                if not folders.make_room(len(fresh) * size, limit, self.folder):
                    # Rows of other images may be in the way of these.
                    fresh, known = {key: at for at, key in enumerate(keys)}, {}
                    form = self._begin(form, kind)
                    if not folders.make_room(len(fresh) * size, limit, self.folder):
                        raise NoRoom(len(fresh) * size)
                wanted = np.array(sorted(fresh.values()), np.int64)
                self._add([keys[at] for at in wanted], make(wanted), form, kind, known)
            count = (self.folder / _VALUES).stat().st_size // max(1, self._bytes(form, kind))
            values = np.memmap(self.folder / _VALUES, kind, "r", shape=(count, *form))
        return Rows(values, np.array([known[key] for key in keys], np.int64))

    def missing(self, keys: Sequence[str], dtype: npt.DTypeLike, shape: Callable[[], tuple[int, ...]]) -> int:
        """Bytes that the rows of ``keys`` that are not there yet will take. ``shape``: see :meth:`rows`."""
        kind = np.dtype(dtype)
        form = self._form(kind)
        known = {key for key, _ in self._lines()} if form else set()
        return len(set(keys) - known) * self._bytes(form or tuple(shape()), kind)

    @contextlib.contextmanager
    def _locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @staticmethod
    def _bytes(form: tuple[int, ...], kind: np.dtype[Any]) -> int:
        return int(np.prod(form, dtype=np.int64)) * kind.itemsize

    def _form(self, kind: np.dtype[Any]) -> tuple[int, ...] | None:
        """The rows' shape, where the table is there and holds this type."""
        try:
            loaded = json.loads((self.folder / folders.ABOUT).read_text("utf-8"))
            form = tuple(int(side) for side in loaded["shape"])
            good = loaded["dtype"] == kind.str and loaded["about"] == json.loads(json.dumps(self.about))
            good = good and loaded["checksum"] == _checksum(form)
            good = good and (self.folder / _VALUES).is_file() and all(side > 0 for side in form)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return form if good else None

    def _begin(self, form: tuple[int, ...], kind: np.dtype[Any]) -> tuple[int, ...]:
        """An empty table in place of whatever is there."""
        for name in (folders.ABOUT, _KEYS, _VALUES):
            (self.folder / name).unlink(missing_ok=True)
        for name in (_VALUES, _KEYS):
            (self.folder / name).touch()
        document = {
            "about": dict(self.about),
            "shape": list(form),
            "dtype": kind.str,
            "checksum": _checksum(form),
        }
        atomic.write_json(self.folder / folders.ABOUT, document)
        return form

    def _lines(self) -> Iterator[tuple[str, int]]:
        """Keys with their checksums, in the order of their rows; ends at a line that was cut off."""
        with contextlib.suppress(OSError), (self.folder / _KEYS).open("rb") as file:
            for line in file:
                key, _, checksum = line.decode("utf-8", "replace").rpartition(" ")
                if not key or not line.endswith(b"\n") or len(checksum) != 9:
                    return
                try:
                    yield key, int(checksum, 16)
                except ValueError:
                    return

    def _known(self, form: tuple[int, ...], kind: np.dtype[Any], wanted: set[str]) -> dict[str, int]:
        """Where the rows of ``wanted`` are that are there and undamaged; what is behind the last whole row goes."""
        size = self._bytes(form, kind)
        lines = list(self._lines())
        lines = lines[: (self.folder / _VALUES).stat().st_size // size]
        os.truncate(self.folder / _VALUES, len(lines) * size)
        text = "".join(f"{key} {checksum:08x}\n" for key, checksum in lines).encode()
        if text != (self.folder / _KEYS).read_bytes():
            atomic.write_bytes(self.folder / _KEYS, text)
        if not lines:
            return {}
        values = np.memmap(self.folder / _VALUES, np.uint8, "r", shape=(len(lines), size))
        known = {}
        for place, (key, checksum) in enumerate(lines):
            # A later row of the same key took the place of a damaged one.
            if key in wanted and zlib.crc32(values[place]) == checksum:
                known[key] = place
        return known

    def _add(
        self, keys: Sequence[str], made: Made, form: tuple[int, ...], kind: np.dtype[Any], known: dict[str, int]
    ) -> None:
        """Append rows, and tell ``known`` where they are. What is whole when it ends early is kept."""
        size, waiting = self._bytes(form, kind), iter(keys)
        with (self.folder / _VALUES).open("ab") as values, (self.folder / _KEYS).open("ab") as names:
            place, behind, lines = values.tell() // size, 0, list[str]()

            def settle() -> None:
                values.flush()
                os.fsync(values.fileno())
                names.write("".join(lines).encode())
                names.flush()
                lines.clear()

            try:
                for rows in made:
                    for row in rows:
                        data = np.ascontiguousarray(row, kind)
                        if data.shape != form:
                            raise ValueError(f"a row of shape {data.shape} in a table of {form}")
                        values.write(data.data)
                        key = next(waiting)
                        known[key] = place
                        lines.append(f"{key} {zlib.crc32(data.data):08x}\n")
                        place, behind = place + 1, behind + size
                    if behind >= _AT_ONCE:
                        settle()
                        behind = 0
            finally:
                settle()
        if (left := len(list(waiting))) > 0:
            raise ValueError(f"{left} rows of {len(keys)} were not made")


def _checksum(form: tuple[int, ...]) -> int:
    """Of a shape: rows read by a shape that was spoilt on the disk would be whole and wrong."""
    return zlib.crc32(json.dumps(form).encode())
