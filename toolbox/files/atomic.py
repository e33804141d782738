"""Files that appear whole or not at all: temporary name on the same disk, flush, fsync, rename."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from toolbox.api.errors import EnvironmentFailure

SCHEMA = 1
"""The ``schema`` of every JSON file that the toolbox writes."""


@contextlib.contextmanager
def translate_os_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an operating system's refusal into one line that says what to do about it.

    Raises
    ------
    EnvironmentFailure: for any :class:`OSError` from within.
    """
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "The disk is full: free some space and run the same command again.",
            errno.EDQUOT: "Your disk quota is used up: free some space and run the same command again.",
            errno.EROFS: "The disk is read-only: choose another folder with --workspace.",
            errno.EACCES: "Permission denied: choose another folder with --workspace.",
        }
        reason = error.strerror or str(error)
        hint = hints.get(error.errno or 0, "")
        raise EnvironmentFailure(f"can't {action} {path}: {reason}", hint) from error


def make_folder(path: Path) -> Path:
    """Create ``path`` and its parents.

    Raises
    ------
    EnvironmentFailure: it can't be made.
    """
    with translate_os_errors("create the folder", path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and else goes away.

    Of a symbolic link the target is replaced. To a device or a pipe the bytes are written when the block ends.
    """
    if is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, "output")
            temporary.touch()
            yield temporary
            with translate_os_errors("write", path), temporary.open("rb") as file, path.open("wb") as stream:
                shutil.copyfileobj(file, stream)
        return
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    make_folder(path.parent)
    with translate_os_errors("write", path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Whether ``path`` is a device, a pipe or a socket, which can be written to and not replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all.

    Raises
    ------
    EnvironmentFailure: disk full, no permission, …; what was at ``path`` before is then still there.
    """
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """:func:`write_bytes` for UTF-8 text, with the line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write ``document`` with the schema number in front, keys in the order given.

    NaN and infinities are refused (ValueError): they are no JSON and other programs choke on them.
    """
    write_text(path, json_text(document))


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append ``lines`` (each with its line end) to a UTF-8 text file, and make them durable.

    Raises
    ------
    EnvironmentFailure: disk full, no permission, …; a part of the last line may have been written.
    """
    with translate_os_errors("write", path), path.open("ab") as file:
        file.writelines(line.encode() for line in lines)
        file.flush()
        os.fsync(file.fileno())


def json_text(document: dict[str, Any]) -> str:
    """``document`` as the toolbox writes JSON everywhere, on disk and for ``--json``."""
    return json.dumps({"schema": SCHEMA, **document}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sync_folder(path: Path) -> None:
    """Make renames in ``path`` durable. Windows can't open folders and needs no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all() -> None:
    """Make everything written so far durable: for bulk output, once a shard. Windows has no such call."""
    if hasattr(os, "sync"):
        os.sync()


def sync_files(folder: Path, paths: Sequence[str]) -> None:
    """Make files below ``folder`` durable, all in one go where the system can (an fsync each costs far more).

    Raises
    ------
    OSError: the disk could not take them.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            # Of this disk alone: os.sync would wait for every other one too, and tells of no failure.
            if library.syncfs(descriptor):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
        finally:
            os.close(descriptor)
    elif hasattr(os, "sync"):
        os.sync()
    else:
        for path in paths:
            with (folder / path).open("rb+") as file:
                os.fsync(file.fileno())


def _umask() -> int:
    # There is no way to read the umask but to set it; mkstemp's 0600 would lock colleagues out of shared folders.
    mask = os.umask(0)
    os.umask(mask)
    return mask
