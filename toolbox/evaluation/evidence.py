"""What evaluators work on: predictions, and on demand manifest columns, images and the trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from toolbox.api.errors import EnvironmentFailure, ToolboxError, UsageError
from toolbox.api.evaluator import Evidence
from toolbox.api.progress import Reporter
from toolbox.augment.recipe import FOLDER as AUGMENTED
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Row
from toolbox.data.source import ImageChanged, ManifestDataset, Source, open_source
from toolbox.plugin.registry import Registry
from toolbox.runs.folder import MANIFEST, Run
from toolbox.runs.predictions import Predictions
from toolbox.settings.schema import Settings

if TYPE_CHECKING:
    from toolbox.models.predict import Predictor


class EvidenceSource:
    """Gives the evidence on the samples ``rows``, predicted by ``run``; ``open_dataset`` opens the dataset of these."""

    def __init__(
        self,
        run: Run,
        rows: Iterable[Row],
        open_dataset: Callable[[], Source],
        settings: Settings,
        registry: Registry,
        reporter: Reporter,
    ) -> None:
        self.run = run
        self.settings = settings
        self.registry = registry
        self.reporter = reporter
        self._rows = {row.id: row for row in rows}
        self._open_dataset = open_dataset
        self._read: set[str] = set()
        self._missing: set[str] = set()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The samples that the run was trained, validated and tested on."""
        return tuple(self._rows.values())

    def evidence(self, predictions: Predictions, split: str, validation: Predictions | None = None) -> Evidence:
        """The evidence on ``predictions``; its images are read and its model is loaded when they are asked for.

        Raises
        ------
        UsageError: a label that the run does not know.
        """
        numbers = {name: index for index, name in enumerate(predictions.classes)}
        unknown = sorted(set(predictions.labels) - set(numbers))
        if unknown:
            raise UsageError(
                f"the run {self.run.id} knows no class {unknown[0]!r}",
                f"Its classes: {', '.join(predictions.classes)}.",
            )
        return Evidence(
            ids=predictions.ids,
            targets=np.array([numbers[label] for label in predictions.labels], dtype=np.int64),
            probabilities=predictions.probabilities,
            classes=predictions.classes,
            split=split,
            groups=predictions.groups,
            columns=self.columns(predictions.ids),
            seed=self.run.record.seed,
            images=self.images(predictions.ids),
            model=lambda: self.predictor,
            validation=self.evidence(validation, "val") if validation is not None and validation.ids else None,
            reporter=self.reporter,
        )

    @cached_property
    def predictor(self) -> Predictor:
        """The run's model on its device.

        Raises
        ------
        UsageError: the run's files are missing or don't fit together.
        """
        from toolbox.models import predict

        return predict.load(self.run, self.registry, self.settings)

    @cached_property
    def source(self) -> Source:
        """The opened dataset.

        Raises
        ------
        EnvironmentFailure: it is not available.
        """
        try:
            return self._open_dataset()
        except ToolboxError as error:
            raise EnvironmentFailure(
                f"the images of the run {self.run.id} are not available: {error.message}",
                "Put them back where they were, or leave out the evaluators that need them.",
            ) from error

    def columns(self, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The manifest's further columns for the samples ``ids``; empty where a sample has none."""
        rows = [self._rows.get(name) for name in ids]
        names = sorted({name for row in rows if row for name in row.columns})
        return {name: tuple(row.columns.get(name, "") if row else "" for row in rows) for name in names}

    def images(self, ids: Sequence[str]) -> Callable[[int], Image.Image | None]:
        """A function from an index into ``ids`` to that image; ``None`` where it is not the one that the run saw."""

        def image(index: int) -> Image.Image | None:
            picture = self._image(ids[index])
            (self._read if picture else self._missing).add(ids[index])
            return picture

        return image

    def _image(self, name: str) -> Image.Image | None:
        row = self._rows.get(name)
        if row is None:
            raise UsageError(
                f"the run {self.run.id} does not say where its image {name} is", "Train a new run: it will."
            )
        try:
            return self.source.image(row)
        except ImageChanged:
            return None

    def describe_left_out(self, evaluator: str) -> str:
        """For people, how many images ``evaluator`` had to leave out; empty if none. Restarts the count.

        Raises
        ------
        EnvironmentFailure: it had to leave out all.
        """
        missing, read = len(self._missing), len(self._read)
        example = min(self._missing, default="")
        self._missing, self._read = set(), set()
        if missing and not read:
            raise EnvironmentFailure(
                f"{evaluator}: none of {missing:,} images of {self.source.spec} is what the run {self.run.id} saw:"
                " they were moved, deleted or changed",
                "Put them back where they were, or leave out the evaluators that need them.",
            )
        if not missing:
            return ""
        return (
            f"{evaluator}: {missing:,} of {missing + read:,} images are missing or no longer what the run saw, and were"
            f" left out (such as {example})"
        )


def source_of_run(
    run: Run, workspace: Path, settings: Settings, registry: Registry, reporter: Reporter
) -> EvidenceSource:
    """The evidence on a run's own predictions, by the manifest in its folder and the data that its record names."""
    record = run.record
    if record.settings.split.protocol == "augment-then-split" and record.augmented_set:
        # It was tested on copies, which are in an augmented set of its workspace.
        folder = workspace / AUGMENTED / record.augmented_set
        table = folder / manifests.FILE_NAME
        source = Source(ManifestDataset(manifests.Manifest((), folder)), str(folder))
        return EvidenceSource(run, _rows(table), lambda: source, settings, registry, reporter)
    rows = _rows(run.path / MANIFEST)
    return EvidenceSource(run, rows, lambda: open_source(record.data.spec, registry), settings, registry, reporter)


def _rows(table: Path) -> tuple[Row, ...]:
    return manifests.read(table).rows if table.is_file() else ()
