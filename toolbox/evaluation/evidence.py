"""What evaluators may ask for beyond predictions: manifest columns, images, the trained model; each when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from toolbox.api.errors import EnvironmentFailure, ToolboxError, UsageError
from toolbox.api.evaluator import TrainedModel
from toolbox.api.progress import Reporter
from toolbox.augment.recipe import FOLDER as AUGMENTED
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Row
from toolbox.data.source import ImageChanged, ManifestDataset, Source, open_source
from toolbox.plugin.registry import Registry
from toolbox.runs import folder as runs
from toolbox.runs.folder import Run
from toolbox.settings.schema import Settings

if TYPE_CHECKING:
    from toolbox.models.predict import Predictor


class Supply:
    """What belongs to the samples ``rows`` that ``run`` was evaluated on; ``source`` opens where their pictures are."""

    def __init__(
        self,
        run: Run,
        rows: Iterable[Row],
        source: Callable[[], Source],
        settings: Settings,
        registry: Registry,
        reporter: Reporter,
    ) -> None:
        self.run = run
        self.reporter = reporter
        self._rows = {row.id: row for row in rows}
        self._open = source
        self._settings = settings
        self._registry = registry
        self._there: set[str] = set()
        self._missing: set[str] = set()

    @cached_property
    def predictor(self) -> Predictor:
        """The run's model on its device.

        Raises
        ------
        UsageError: the run's files are missing or don't fit together.
        """
        from toolbox.models import predict

        return predict.load(self.run, self._registry, self._settings)

    @cached_property
    def source(self) -> Source:
        """The opened dataset.

        Raises
        ------
        EnvironmentFailure: it is gone.
        """
        try:
            return self._open()
        except ToolboxError as error:
            raise EnvironmentFailure(
                f"the images of the run {self.run.id} can't be had: {error.message}",
                "Put them back where they were, or leave out the evaluators that need them.",
            ) from error

    def model(self) -> TrainedModel:
        """See :attr:`predictor`."""
        return self.predictor

    def columns(self, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The manifest's further columns for the samples ``ids``; empty where a sample has none."""
        rows = [self._rows.get(name) for name in ids]
        names = sorted({name for row in rows if row for name in row.columns})
        return {name: tuple(row.columns.get(name, "") if row else "" for row in rows) for name in names}

    def images(self, ids: Sequence[str]) -> Callable[[int], Image.Image | None]:
        """What gives the picture of a sample by its place in ``ids``; ``None`` where it is not what the run saw."""

        def image(index: int) -> Image.Image | None:
            name = ids[index]
            found = self._image(name)
            (self._there if found else self._missing).add(name)
            return found

        return image

    def _image(self, name: str) -> Image.Image | None:
        row = self._rows.get(name)
        if row is None:
            raise UsageError(
                f"the run {self.run.id} keeps no word of where its image {name} is", "Train it anew to have that kept."
            )
        try:
            return self.source.image(row)
        except ImageChanged:
            return None

    def left_out(self, evaluator: str) -> str:
        """How many images ``evaluator`` had to leave out, in words; empty where there was none. Counts anew.

        Raises
        ------
        EnvironmentFailure: there was no other.
        """
        missing, there = len(self._missing), len(self._there)
        example = min(self._missing, default="")
        self._missing, self._there = set(), set()
        if missing and not there:
            raise EnvironmentFailure(
                f"{evaluator}: none of {missing:,} images of {self.source.spec} is what the run {self.run.id} saw:"
                " they were moved, deleted or changed",
                "Put them back where they were, or leave out the evaluators that need them.",
            )
        if not missing:
            return ""
        return (
            f"{evaluator}: {missing:,} of {missing + there:,} images are gone or no longer what the run saw, and were"
            f" left out ({example}, say)"
        )


def of_run(run: Run, workspace: Path, settings: Settings, registry: Registry, reporter: Reporter) -> Supply:
    """The supply for a run's own predictions, by the manifest in its folder and the data that its record names."""
    record = run.record
    if record["config"]["split"]["protocol"] == "augment-then-split" and record["augmented_set"]:
        # What it was tested on are copies, in a set of its workspace's.
        folder = workspace / AUGMENTED / record["augmented_set"]
        table = folder / manifests.FILE_NAME
        source = Source(ManifestDataset(manifests.Manifest((), folder)), str(folder))
        return Supply(run, _rows(table), lambda: source, settings, registry, reporter)
    spec = record["data"]["spec"]
    rows = _rows(run.path / runs.MANIFEST)
    return Supply(run, rows, lambda: open_source(spec, registry), settings, registry, reporter)


def _rows(table: Path) -> tuple[Row, ...]:
    return manifests.read(table).rows if table.is_file() else ()
