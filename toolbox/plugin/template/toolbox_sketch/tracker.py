"""The tracker ``sketch``."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from toolbox.api.tracker import Tracker


class SketchTracker(Tracker):
    """Writes the losses of each epoch to a CSV file in the run's folder."""

    def __init__(
        self, *, name: Annotated[str, Field(min_length=1, description="name of the file")] = "sketch.csv"
    ) -> None:
        self.name = name
        self.path = Path(name)

    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """Write the header, and the epochs of a run that is resumed."""
        self.path = folder / self.name
        self.path.write_text("stage,epoch,train_loss,val_loss\n", "utf-8")
        for line in history:
            self.epoch(line)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """Append one epoch; a loss that is not known stays empty."""
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([line.get(name) for name in ("stage", "epoch", "train_loss", "val_loss")])

    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
        """Nothing is left to write: every epoch is in the file already."""
