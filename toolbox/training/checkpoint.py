"""Where a training is, on disk: written whole or not at all, and read back to go on to the same bit."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.files import atomic

FILE = "state.pt"

_SHARE = 0.05
"""Of the time since the last checkpoint, what writing one at the end of an epoch may take."""

State = dict[str, Any]
"""Tensors, numbers, strings, and lists and dicts of them: what ``torch.load`` reads with ``weights_only``."""


class Checkpoints:
    """The newest state of a training, in one file.

    ``folder``: for the file. ``minutes``: the longest time between two checkpoints. At the end of an epoch one is
    written anyway, unless that would take more than a twentieth of the time since the last.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder = folder
        self.minutes = minutes
        self.surroundings: Callable[[], State] = dict
        """What goes into every checkpoint beside the loop's own state: which stage, what was before it."""
        self._written = time.monotonic()
        self._cost = 0.0

    def due(self, epoch_ends: bool) -> bool:
        """Whether it is time to write one."""
        waited = time.monotonic() - self._written
        return waited >= self.minutes * 60 or (epoch_ends and waited * _SHARE >= self._cost)

    def save(self, state: Mapping[str, Any]) -> None:
        """Put ``state`` in the place of the one before, which stays if this can't be written.

        Raises
        ------
        EnvironmentFailure: disk full, no permission, ….
        """
        start = time.monotonic()
        with atomic.replace_file(self.folder / FILE) as temporary, temporary.open("wb") as file:
            try:
                torch.save({**self.surroundings(), "loop": dict(state)}, file)
            except RuntimeError as error:
                # torch wraps what the file says.
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        self._written = time.monotonic()
        self._cost = self._written - start

    def load(self) -> State | None:
        """The last state; ``None`` if none was written.

        Raises
        ------
        UsageError: the file is damaged.
        """
        path = self.folder / FILE
        for left in self.folder.glob(f".{FILE}.*.tmp"):  # a process was killed while it wrote
            left.unlink(missing_ok=True)
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # unpickling damaged bytes raises anything
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"{path} can't be read: {reason}", "Delete it to begin the run anew.") from error
        if not isinstance(state, dict) or "loop" not in state:
            raise UsageError(f"{path} is no checkpoint", "Delete it to begin the run anew.")
        return state

    def clear(self) -> None:
        """Take the checkpoint away: the training is done."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Interrupts:
    """Holds Ctrl-C back while the state of a training is between two steps; SIGTERM (a batch system's) likewise.

    Within ``with interrupts.held():`` it waits for the end of the block; elsewhere it is raised at once, as
    KeyboardInterrupt. A second one does not wait, and leaves ``torn`` behind: what is then in memory must not be
    saved. With ``patient`` nothing is ever raised: processes that train together stop at the same step, each having
    told the others that it is ``waiting``.
    """

    def __init__(self, patient: bool = False) -> None:
        self.torn = False
        self.waiting = False
        self._patient = patient
        self._holding = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        # Python lets the main thread alone handle signals; elsewhere (a notebook's worker) nothing is held back.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """See above."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self.waiting and not self._patient:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._patient or (self._holding and not self.waiting):
            self.waiting = True
            return
        self.torn = self._holding
        raise KeyboardInterrupt


def generators() -> State:
    """The states of torch's generators."""
    state: State = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_generators(state: Mapping[str, Any]) -> None:
    """Set torch's generators to ``state`` (see :func:`generators`).

    Raises
    ------
    EnvironmentFailure: they are those of other devices.
    """
    torch.set_rng_state(state["cpu"])
    try:
        if "cuda" in state:
            torch.cuda.set_rng_state_all(state["cuda"])
        if "mps" in state:
            torch.mps.set_rng_state(state["mps"])
    except (RuntimeError, IndexError, AssertionError) as error:
        raise EnvironmentFailure(
            "the checkpoint was written on other devices", "Go on on the machine it was begun on."
        ) from error
