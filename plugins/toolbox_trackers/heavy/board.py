"""The ``tensorboard`` tracker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tensorboard  # torch's writer needs it, and says so in a less readable way  # noqa: F401
from pydantic import Field
from torch.utils.tensorboard.writer import SummaryWriter

from toolbox.api.tracker import Tracker
from toolbox_trackers.heavy.scalars import of_epoch, of_evaluation


class TensorBoard(Tracker):
    """Writes event files: scalars by epoch, the metrics with their intervals at the end, the settings as text."""

    def __init__(
        self, *, folder: Annotated[str, Field(description="where; empty: a folder 'tensorboard' in the run's own")] = ""
    ) -> None:
        self.folder = folder
        self.step = 0
        self.writer: SummaryWriter | None = None

    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """See :class:`Tracker`. A run that goes on adds a file; TensorBoard shows both as one."""
        place = Path(self.folder).expanduser() / folder.name if self.folder else folder / "tensorboard"
        self.step = len(history)
        # What an interrupted run had written beyond its checkpoint is void.
        self.writer = SummaryWriter(str(place), purge_step=self.step + 1 if history else None)
        self.writer.add_text("command", record["command"] or record["model"])
        self.writer.add_text("settings", f"```json\n{json.dumps(record['config'], indent=2)}\n```")
        self.writer.flush()

    def epoch(self, line: Mapping[str, Any]) -> None:
        """See :class:`Tracker`."""
        assert self.writer is not None
        self.step += 1
        for name, value in of_epoch(line).items():
            self.writer.add_scalar(name, value, self.step)
        self.writer.flush()

    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
        """See :class:`Tracker`."""
        assert self.writer is not None
        for name, value in of_evaluation(evaluation).items() if evaluation else ():
            self.writer.add_scalar(name, value, self.step)
        self.writer.add_text("status", record["status"])
        self.writer.close()
