"""One process at a time in one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from toolbox.api.errors import EnvironmentFailure
from toolbox.files.atomic import make_folder


@contextlib.contextmanager
def hold_lock(folder: Path, doing: str, name: str = ".lock") -> Iterator[None]:
    """Hold ``folder`` for this process, or what the lock file ``name`` in it stands for.

    The lock dies with its process, so a killed one leaves nothing to clean up.

    Raises
    ------
    EnvironmentFailure: another process holds it.
    """
    from filelock import FileLock, Timeout

    make_folder(folder)
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:  # an OSError too, so it comes first
        raise EnvironmentFailure(
            f"another process is {doing} in {folder}", "Wait for it to end, or stop it, and run this again."
        ) from error
    except OSError as error:
        raise EnvironmentFailure(f"can't lock {folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
