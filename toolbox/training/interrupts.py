"""Ctrl-C and SIGTERM, deferred while the state of a training is between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupts:
    """Defers Ctrl-C and SIGTERM (a batch system's way to stop a job) while the state of a training changes.

    Within ``with interrupts.deferred():`` a signal waits for the end of the block; elsewhere it raises
    KeyboardInterrupt at once. A second signal does not wait and sets ``state_is_partial``: what is then in memory must
    not be saved. With ``only_record`` no signal ever raises: processes that train together check ``pending`` and stop
    at the same step.
    """

    def __init__(self, only_record: bool = False) -> None:
        self.pending = False
        self.state_is_partial = False
        self._only_record = only_record
        self._deferring = False
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        # Python handles signals in the main thread only; elsewhere (a notebook's worker) none is deferred.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous_handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals until the end of the block."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self.pending and not self._only_record:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._only_record or (self._deferring and not self.pending):
            self.pending = True
            return
        self.state_is_partial = self._deferring
        raise KeyboardInterrupt
