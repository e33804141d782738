"""A tracker that writes a table which GitHub, GitLab and most editors show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolbox.api.tracker import Tracker

COLUMNS = ("stage", "epoch", "train_loss", "val_loss")


class MarkdownTable(Tracker):
    """Writes a Markdown table of the losses to ``losses.md`` in the run's folder."""

    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """Write the table's head, and the epochs of a run that is resumed."""
        self.path = folder / "losses.md"
        self.path.write_text(f"# {record['model']}\n\n{_row(COLUMNS)}{_row('---' for _ in COLUMNS)}", "utf-8")
        for line in history:
            self.epoch(line)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """Append a row."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_row(_cell(line.get(column)) for column in COLUMNS))

    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
        """Append how the run ended, and its accuracy."""
        accuracy = (evaluation or {}).get("metrics", {}).get("accuracy", {}).get("value")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{record['status']}; accuracy: {_cell(accuracy)}\n")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cell(value: Any) -> str:
    """A number with three digits, and a dash where it is not known."""
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
