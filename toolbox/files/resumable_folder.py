"""Write a folder of many files that appears whole, survives kills, and is resumed by the same call.

Files are written to a staging folder, made durable together (an fsync for each costs more than making it), renamed into
the partial folder ``.NAME.partial``, and only then named in a log. A file that the log names is therefore whole,
whatever happened; all others are written again. The complete folder is renamed to its final name.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.files import atomic
from toolbox.files.locks import hold_lock

_STAGING = ".staging-"
_DELETE_SECONDS = 10


class ResumableFolder:
    """The folder ``final`` while it is being written.

    Parameters
    ----------
    final: the folder to write. It may exist if it is empty.
    marker: name of the JSON file in it that says what it holds. A partial folder without one is never touched.
    content: what ``marker`` holds at least. What was begun with other content is deleted, so that two never mix.
    log: name of the file in it that names what has been written, one line each.
    """

    def __init__(self, final: Path, marker: str, content: Mapping[str, Any], log: str) -> None:
        self.final = final
        self.partial = final.with_name(f".{final.name}.partial")
        self.log = self.partial / log
        self._marker = marker
        self._content: dict[str, Any] = json.loads(json.dumps(content))  # as it is read back

    @contextlib.contextmanager
    def lock(self, purpose: str) -> Iterator[None]:
        """Keep other processes away; ``purpose`` says what this one is doing.

        Raises
        ------
        EnvironmentFailure: another process holds the lock.
        """
        name = f".{self.final.name}.lock"
        with hold_lock(self.final.parent, purpose, name):
            try:
                yield
            finally:
                if os.name != "nt":  # Windows can't delete an open file
                    (self.final.parent / name).unlink(missing_ok=True)

    def begin(self, resume: bool = True) -> None:
        """Create the partial folder, or keep what an interrupted call left in it.

        Raises
        ------
        UsageError: the partial folder exists and was not made by this class.
        EnvironmentFailure: it can't be written.
        """
        atomic.make_folder(self.partial)
        marker = self.partial / self._marker
        with atomic.translate_os_errors("clear", self.partial):
            content = _read_marker(marker)
            if content is None and any(not _is_temporary(path) for path in self.partial.iterdir()):
                raise UsageError(
                    f"{self.partial} holds files that toolbox did not write",
                    "Move it away, or choose another folder with --out.",
                )
            if not (resume and content is not None and content.items() >= self._content.items()):
                # The log goes first and the marker last: killed in between, the next call finds its own folder.
                self.log.unlink(missing_ok=True)
                for path in self.partial.iterdir():
                    if path != marker:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                atomic.write_json(marker, self._content)
            self._remove_temporary()

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder to write new files to, deleted when the block ends."""
        with atomic.translate_os_errors("write", self.partial):
            folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.partial))
        try:
            yield folder
        finally:
            _delete(folder)  # a worker thread may still be writing its last file

    def commit(self, staging: Path, paths: Iterable[str], lines: Iterable[str]) -> None:
        """Make the files ``paths`` in ``staging`` durable, move them into place, and add ``lines`` to the log.

        Raises
        ------
        EnvironmentFailure: the disk can't take them; the log does not name them then.
        """
        paths = list(paths)
        folders = {path.rpartition("/")[0] for path in paths}
        with atomic.translate_os_errors("write", self.partial):
            atomic.sync_files(staging, paths)
            for folder in folders:
                (self.partial / folder).mkdir(parents=True, exist_ok=True)
            for path in paths:
                os.replace(f"{staging}/{path}", f"{self.partial}/{path}")  # noqa: PTH105  # thousands a second
            for folder in folders:
                atomic.sync_folder(self.partial / folder)
        atomic.append_lines(self.log, lines)

    def finish(self) -> None:
        """Give the complete folder its final name.

        Raises
        ------
        UsageError: something else has taken the name.
        EnvironmentFailure: it can't be renamed.
        """
        with atomic.translate_os_errors("rename to", self.final):
            self._remove_temporary()
            if self.final.exists():
                if any(self.final.iterdir()):
                    raise UsageError(f"{self.final} exists and is not empty", "Choose another folder with --out.")
                self.final.rmdir()
            self.partial.rename(self.final)
            atomic.sync_folder(self.final.parent)

    def _remove_temporary(self) -> None:
        """Delete what killed calls were about to write. Their workers end with them, but it may take a moment."""
        for path in self.partial.iterdir():
            if _is_temporary(path) and not _delete(path):
                raise EnvironmentFailure(f"can't delete {path}", "Stop the process that writes to it, and try again.")


def _read_marker(marker: Path) -> dict[str, Any] | None:
    """The content of a marker that this class wrote, or ``None``."""
    try:
        content = json.loads(marker.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "schema" in content else None


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(_STAGING) or (path.name.startswith(".") and path.name.endswith(".tmp"))


def _delete(path: Path) -> bool:
    """Delete a file or folder that another thread or process may write to for a moment; return whether it is gone."""
    deadline = time.monotonic() + _DELETE_SECONDS
    while path.exists() and time.monotonic() < deadline:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return not path.exists()
