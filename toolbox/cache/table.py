"""Arrays of one shape, stored by key in one memory-mapped file and shared by all runs of a user.

A row's key identifies the image it was computed from; the table's own name identifies everything else that it depends
on. Rows are only ever appended. Their bytes are durable before their keys are written, so a process killed at any point
leaves only whole rows; each has a checksum, and damaged ones are computed again. One process appends at a time, the
others wait and then find its rows.
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
_BYTES_PER_SYNC = 256_000_000  # an interruption loses at most these

RowBatches = Iterator[npt.NDArray[Any]]
"""Rows in the order requested, some at a time: ``[B, …]`` of the table's type."""


class NoRoom(Exception):
    """The table would become too large. ``needed``: bytes of the missing rows."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


@dataclass(frozen=True)
class Rows:
    """The rows ``values[places]``: a read-only array ``[M, …]`` on disk, and int64 ``[N]``."""

    values: npt.NDArray[Any]
    places: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """A copy of the rows at ``indices``: ``[B, …]``."""
        return np.take(self.values, self.places[indices], axis=0)


@dataclass(frozen=True)
class _Layout:
    """The shape and type of a row."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def checksum(self) -> int:
        """Of the shape: rows read with a shape damaged on disk would pass their own checksums."""
        return zlib.crc32(json.dumps(self.shape).encode())


class Table:
    """The table for ``about``: everything that its rows depend on, except their keys, as JSON."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self.about = about
        name = fingerprint.of_bytes(json.dumps(about, sort_keys=True).encode())[:32]
        self.folder = folders.cache_folder() / folders.TABLES / name

    def rows(
        self,
        keys: Sequence[str],
        shape: Callable[[], tuple[int, ...]],
        dtype: npt.DTypeLike,
        compute: Callable[[npt.NDArray[np.int64]], RowBatches],
        limit: int,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Rows:
        """The rows of ``keys``; missing ones are computed and stored.

        Parameters
        ----------
        keys: one for each row, without line breaks; equal keys share a row.
        shape: gives the shape of a row; called only for a new table.
        compute: gives the rows for positions in ``keys``.
        limit: bytes that all tables together may take; the least recently used ones are deleted to make room.
        on_wait: called if another process is appending to the table.

        Raises
        ------
        NoRoom: the rows don't fit.
        EnvironmentFailure: the disk is full or not writable.
        """
        atomic.make_folder(self.folder)
        with atomic.translate_os_errors("write", self.folder), self._lock(on_wait):
            layout = self._read_layout(np.dtype(dtype)) or self._create(_Layout(tuple(shape()), np.dtype(dtype)))
            os.utime(self.folder / folders.ABOUT)  # so that no other process deletes it as unused
            known = self._find_rows(layout, set(keys))
            missing = {key: place for place, key in enumerate(keys) if key not in known}
            if missing:
                if not folders.make_room(len(missing) * layout.row_bytes, limit, self.folder):
                    # Rows of other images may take the room of these: start the table over.
                    missing, known = {key: place for place, key in enumerate(keys)}, {}
                    self._create(layout)
                    if not folders.make_room(len(missing) * layout.row_bytes, limit, self.folder):
                        raise NoRoom(len(missing) * layout.row_bytes)
                places = np.array(sorted(missing.values()), np.int64)
                known |= self._append([keys[place] for place in places], compute(places), layout)
            count = (self.folder / _VALUES).stat().st_size // max(1, layout.row_bytes)
            values = np.memmap(self.folder / _VALUES, layout.dtype, "r", shape=(count, *layout.shape))
        return Rows(values, np.array([known[key] for key in keys], np.int64))

    def missing(self, keys: Sequence[str], dtype: npt.DTypeLike, shape: Callable[[], tuple[int, ...]]) -> int:
        """Bytes that the missing rows of ``keys`` will take. ``shape``: see :meth:`rows`."""
        layout = self._read_layout(np.dtype(dtype))
        known = {key for key, _ in self._read_keys()} if layout else set()
        layout = layout or _Layout(tuple(shape()), np.dtype(dtype))
        return len(set(keys) - known) * layout.row_bytes

    @contextlib.contextmanager
    def _lock(self, on_wait: Callable[[], None]) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _read_layout(self, dtype: np.dtype[Any]) -> _Layout | None:
        """The rows' layout, if the table exists, is undamaged, and has this type."""
        try:
            document = json.loads((self.folder / folders.ABOUT).read_text("utf-8"))
            layout = _Layout(tuple(int(side) for side in document["shape"]), dtype)
            valid = (
                document["dtype"] == dtype.str
                and document["about"] == json.loads(json.dumps(self.about))
                and document["checksum"] == layout.checksum
                and (self.folder / _VALUES).is_file()
                and all(side > 0 for side in layout.shape)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return layout if valid else None

    def _create(self, layout: _Layout) -> _Layout:
        """An empty table, replacing any other."""
        for name in (folders.ABOUT, _KEYS, _VALUES):
            (self.folder / name).unlink(missing_ok=True)
        for name in (_VALUES, _KEYS):
            (self.folder / name).touch()
        document = {
            "about": dict(self.about),
            "shape": list(layout.shape),
            "dtype": layout.dtype.str,
            "checksum": layout.checksum,
        }
        atomic.write_json(self.folder / folders.ABOUT, document)
        return layout

    def _read_keys(self) -> Iterator[tuple[str, int]]:
        """Keys and checksums in the order of their rows; ends at a truncated line."""
        with contextlib.suppress(OSError), (self.folder / _KEYS).open("rb") as file:
            for line in file:
                key, _, checksum = line.decode("utf-8", "replace").rpartition(" ")
                if not key or not line.endswith(b"\n") or len(checksum) != 9:
                    return
                try:
                    yield key, int(checksum, 16)
                except ValueError:
                    return

    def _find_rows(self, layout: _Layout, keys: set[str]) -> dict[str, int]:
        """The places of the undamaged rows of ``keys``; truncates whatever follows the last whole row."""
        size = layout.row_bytes
        lines = list(self._read_keys())
        lines = lines[: (self.folder / _VALUES).stat().st_size // size]
        os.truncate(self.folder / _VALUES, len(lines) * size)
        text = "".join(f"{key} {checksum:08x}\n" for key, checksum in lines).encode()
        if text != (self.folder / _KEYS).read_bytes():
            atomic.write_bytes(self.folder / _KEYS, text)
        if not lines:
            return {}
        values = np.memmap(self.folder / _VALUES, np.uint8, "r", shape=(len(lines), size))
        # A later row with the same key replaces a damaged one.
        return {
            key: place
            for place, (key, checksum) in enumerate(lines)
            if key in keys and zlib.crc32(values[place]) == checksum
        }

    def _append(self, keys: Sequence[str], batches: RowBatches, layout: _Layout) -> dict[str, int]:
        """Append rows, and return their places. If ``batches`` ends with an exception, rows so far are kept."""
        places: dict[str, int] = {}
        with (self.folder / _VALUES).open("ab") as values, (self.folder / _KEYS).open("ab") as names:
            first, unsynced, lines = values.tell() // layout.row_bytes, 0, list[str]()

            def sync() -> None:
                values.flush()
                os.fsync(values.fileno())
                names.write("".join(lines).encode())
                names.flush()
                lines.clear()

            try:
                for batch in batches:
                    for row in batch:
                        data = np.ascontiguousarray(row, layout.dtype)
                        if data.shape != layout.shape:
                            raise ValueError(f"a row of shape {data.shape} in a table of {layout.shape}")
                        values.write(data.data)
                        key = keys[len(places)]
                        places[key] = first + len(places)
                        lines.append(f"{key} {zlib.crc32(data.data):08x}\n")
                        unsynced += layout.row_bytes
                    if unsynced >= _BYTES_PER_SYNC:
                        sync()
                        unsynced = 0
            finally:
                sync()
        if len(places) < len(keys):
            raise ValueError(f"{len(keys) - len(places)} rows of {len(keys)} were not computed")
        return places
