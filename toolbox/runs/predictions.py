"""What a run said of samples, as ``predictions.csv`` keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from toolbox.api.errors import UsageError
from toolbox.data.manifest import Row
from toolbox.runs import folder as runs


@dataclass(frozen=True)
class Predictions:
    """What ``predictions.csv`` holds. ``probabilities``: float64 ``[N, K]`` for ``classes``.

    ``pixels``: the hash of each decoded image, empty where an older run kept none.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    pixels: tuple[str, ...] = ()

    def part(self, split: str) -> Predictions:
        """Those of ``split``."""
        chosen = [index for index, name in enumerate(self.splits) if name == split]
        return Predictions(
            ids=tuple(self.ids[index] for index in chosen),
            labels=tuple(self.labels[index] for index in chosen),
            groups=tuple(self.groups[index] for index in chosen),
            splits=(split,) * len(chosen),
            classes=self.classes,
            probabilities=self.probabilities[chosen],
            pixels=tuple(self.pixels[index] for index in chosen) if self.pixels else (),
        )


def read(path: Path) -> Predictions:
    """The predictions in ``path``.

    Raises
    ------
    UsageError: it isn't such a file.
    """
    lines = list(runs.read_predictions(path))
    if not lines:
        raise UsageError(f"{path} holds no predictions")
    columns = [name for name in lines[0] if name.startswith("p:")]
    try:
        return Predictions(
            ids=tuple(line["id"] for line in lines),
            labels=tuple(line["label"] for line in lines),
            groups=tuple(line["group"] for line in lines),
            splits=tuple(line["split"] for line in lines),
            classes=tuple(name.removeprefix("p:") for name in columns),
            probabilities=np.array([[float(line[name]) for name in columns] for line in lines]),
            pixels=tuple(line.get("pixels") or "" for line in lines),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is no file of predictions: {error}") from error


def of_rows(rows: Sequence[Row], classes: Sequence[str], probabilities: npt.NDArray[np.float64]) -> Predictions:
    """Predictions for samples that are at hand."""
    return Predictions(
        ids=tuple(row.id for row in rows),
        labels=tuple(row.label for row in rows),
        groups=tuple(row.group for row in rows),
        splits=tuple(row.split for row in rows),
        classes=tuple(classes),
        probabilities=probabilities,
        pixels=tuple(row.pixels for row in rows),
    )


def split_of(predictions: Predictions) -> str:
    """The split that stands for unseen data: test, else validation, else training."""
    return next(split for split in ("test", "val", "train") if split in predictions.splits)
