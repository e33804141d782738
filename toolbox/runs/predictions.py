"""``predictions.csv``: what a run predicts for samples, as arrays."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from toolbox.api.errors import UsageError
from toolbox.files import atomic

_COLUMNS = ("id", "path", "label", "group", "split", "pixels")
_LEAK = "leak"


class SampleRow(Protocol):
    """What is kept of a sample: a row of a manifest has it. ``pixels`` is the hash of the decoded image."""

    @property
    def id(self) -> str: ...  # noqa: D102  # see the class

    @property
    def path(self) -> str: ...  # noqa: D102  # see the class

    @property
    def label(self) -> str: ...  # noqa: D102  # see the class

    @property
    def group(self) -> str: ...  # noqa: D102  # see the class

    @property
    def split(self) -> str: ...  # noqa: D102  # see the class

    @property
    def pixels(self) -> str: ...  # noqa: D102  # see the class


@dataclass(frozen=True)
class Predictions:
    """N samples and what was predicted for them: ``probabilities``, float64 ``[N, K]`` for ``classes``.

    ``pixels``: the hash of each decoded image, empty where an older run kept none. ``leaks``: the kind of leak by which
    training saw each sample or a relative, empty for the clean ones; ``None`` where that is unknown.
    """

    ids: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    pixels: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    leaks: tuple[str, ...] | None = None

    @classmethod
    def of_rows(
        cls,
        rows: Sequence[SampleRow],
        classes: Sequence[str],
        probabilities: npt.NDArray[np.float64],
        leaked: Mapping[str, str] | None = None,
    ) -> Self:
        """Predictions for the samples ``rows``. ``leaked``: the leaked ones' ids, with the kind of leak."""
        return cls(
            ids=tuple(row.id for row in rows),
            paths=tuple(row.path for row in rows),
            labels=tuple(row.label for row in rows),
            groups=tuple(row.group for row in rows),
            splits=tuple(row.split for row in rows),
            pixels=tuple(row.pixels for row in rows),
            classes=tuple(classes),
            probabilities=probabilities,
            leaks=None if leaked is None else tuple(leaked.get(row.id, "") for row in rows),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file at ``path``.

        Raises
        ------
        UsageError: it holds no predictions, or is no such file.
        """
        try:
            with atomic.translate_os_errors("read", path), path.open(encoding="utf-8", newline="") as file:
                lines = list(csv.DictReader(file))
            if not lines:
                raise UsageError(f"{path} holds no predictions", "Train the run again.")
            columns = {name: tuple(line[name] for line in lines) for name in (*_COLUMNS, _LEAK) if name in lines[0]}
            classes = tuple(name.removeprefix("p:") for name in lines[0] if name and name.startswith("p:"))
            return cls(
                ids=columns["id"],
                paths=columns.get("path", ("",) * len(lines)),
                labels=columns["label"],
                groups=columns["group"],
                splits=columns["split"],
                pixels=tuple(value or "" for value in columns.get("pixels", ("",) * len(lines))),
                classes=classes,
                probabilities=np.array([[float(line[f"p:{name}"]) for name in classes] for line in lines]),
                leaks=columns.get(_LEAK),
            )
        except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path} is no file of predictions: {error}", "Train the run again.") from error

    def write(self, path: Path) -> None:
        """Write a table: a column for each field, the likeliest class, and a probability for each class.

        Probabilities are written so that reading gives the same float64 back.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        leaks = [] if self.leaks is None else [self.leaks]
        writer.writerow([*_COLUMNS, *[_LEAK][: len(leaks)], "prediction", *(f"p:{name}" for name in self.classes)])
        fields = zip(self.ids, self.paths, self.labels, self.groups, self.splits, self.pixels, *leaks, strict=True)
        for row, values in zip(fields, self.probabilities, strict=True):
            writer.writerow([*row, self.classes[int(values.argmax())], *(repr(float(value)) for value in values)])
        atomic.write_text(path, buffer.getvalue())

    def part(self, split: str) -> Predictions:
        """The samples of ``split``."""
        return self.subset([index for index, name in enumerate(self.splits) if name == split])

    def subset(self, indices: Sequence[int]) -> Predictions:
        """The samples at ``indices``."""

        def pick(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[index] for index in indices)

        return Predictions(
            ids=pick(self.ids),
            paths=pick(self.paths),
            labels=pick(self.labels),
            groups=pick(self.groups),
            splits=pick(self.splits),
            pixels=pick(self.pixels),
            classes=self.classes,
            probabilities=self.probabilities[list(indices)],
            leaks=None if self.leaks is None else pick(self.leaks),
        )

    @property
    def evaluation_split(self) -> str:
        """The split that stands for unseen data: test, else validation, else training."""
        return next((split for split in ("test", "val", "train") if split in self.splits), "")
