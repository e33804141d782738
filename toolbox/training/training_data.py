"""Which images a run trains on: the originals, the augmented set made from them, or copies made on the fly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from toolbox.api.errors import Refused, UsageError
from toolbox.api.progress import Reporter
from toolbox.api.warp import RESAMPLING
from toolbox.augment import recipe as recipes
from toolbox.augment.recipe import AugmentedSet, Recipe
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Row
from toolbox.data.source import ManifestDataset, Source
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.settings.schema import Settings


@dataclass(frozen=True)
class TrainingData:
    """The samples to train on (``rows``) and those held out, each with the source that reads their images.

    ``kind``: ``originals``, ``augmented`` or ``online``.
    """

    kind: str
    rows: Sequence[Row]
    source: Source
    held_out: Sequence[Row]
    held_out_source: Source
    set_name: str = ""
    recipe: Recipe | None = None


@dataclass(frozen=True)
class CopiesAndOriginals(Source):
    """The source of originals and of their ``copies``, which have a ``source`` among their columns."""

    copies: Source

    def image(self, row: Row) -> Image.Image:
        """See :meth:`Source.image`."""
        return self.copies.image(row) if row.columns.get("source") else super().image(row)


def select_training_data(
    settings: Settings, dataset: SplitDataset, workspace: Path, reporter: Reporter
) -> TrainingData:
    """The training data that ``training.train_on`` selects; reports which.

    Raises
    ------
    UsageError: no augmented set, or several, match data and split.
    Refused: the augmented set leaks.
    """
    train_on = settings.training.train_on
    rows = dataset.manifest.part("train")
    held_out = [row for row in dataset.manifest.rows if row.split != "train"]
    originals = TrainingData("originals", rows, dataset.source, held_out, dataset.source)
    if train_on == "originals":
        reporter.info(f"training on the {len(rows)} originals")
        return originals
    if train_on == "online":
        reporter.info(f"training on {len(rows)} originals, with a fresh copy of each in every epoch")
        return replace(originals, kind="online")
    sets = recipes.find_matching(workspace, settings.split.protocol, dataset.manifest)
    if len(sets) > 1:
        # The options a set was made with single it out.
        name = recipes.build_recipe(settings, dataset.manifest).name
        sets = [augmented for augmented in sets if augmented.path.name == name] or sets
    if len(sets) > 1:
        raise UsageError(
            f"several augmented sets match: {', '.join(augmented.path.name for augmented in sets)}",
            "Give the options that one was made with (--augmenter, --seed, --set augment.factor=N), or use"
            " --train-on originals.",
        )
    if sets:
        return _read_copies(sets[0], originals, dataset, reporter)
    if train_on == "augmented":
        raise UsageError("no augmented set matches the data and its split", "Run 'toolbox augment' first.")
    reporter.info(f"training on the {len(rows)} originals (no augmented set matches)")
    return originals


def _read_copies(
    augmented: AugmentedSet, originals: TrainingData, dataset: SplitDataset, reporter: Reporter
) -> TrainingData:
    """The copies in ``augmented``; by the source studies' protocols the held-out samples, or some, are copies, too."""
    folder, recipe = augmented.path, augmented.recipe
    table = manifests.read(folder / manifests.FILE_NAME)
    expected = recipes.count_files(recipe, recipes.select_sources(recipe.protocol, dataset.manifest))
    leaks = [row.path for row in table.rows if row.columns.get("source") not in expected]
    if leaks:
        raise Refused(
            f"{folder} holds copies of images that are not in the training split ({leaks[0]}, for one)",
            "That is a leak: delete the set and run 'toolbox augment' again.",
        )
    if Counter(row.columns["source"] for row in table.rows) != expected:
        raise UsageError(
            f"{folder} does not hold exactly the copies of each training image that its recipe states",
            "Delete it and run 'toolbox augment' again.",
        )
    # Checked here because images in the cache are not read from disk again.
    missing = next((row.path for row in table.rows if not (folder / row.path).is_file()), None)
    if missing is not None:
        raise UsageError(
            f"{folder / missing} can't be read: it is missing", "Delete the set and run 'toolbox augment' again."
        )
    # The set may have moved with its workspace: paths are relative to where it is now.
    source = Source(ManifestDataset(replace(table, root=folder)), str(folder))
    if recipe.resampling != RESAMPLING:
        reporter.warn(
            f"{folder.name} was written by an older version, which resized copies by another filter than originals:"
            " delete it and run 'toolbox augment' again"
        )
    rows = table.part("train")
    reporter.info(f"training on {len(rows):,} copies in {folder.name}")
    copies = replace(originals, kind="augmented", rows=rows, source=source, set_name=folder.name, recipe=recipe)
    held_out = [row for row in table.rows if row.split != "train"]
    if recipe.protocol == "augment-then-split":
        return replace(copies, held_out=held_out, held_out_source=source)
    if recipe.protocol == "augment-then-validate":
        reporter.warn("the validation split are copies of images that are trained on; the test split is none of these")
        held_out += dataset.manifest.part("test")
        mixed = CopiesAndOriginals(dataset.source.dataset, dataset.source.spec, source)
        return replace(copies, held_out=held_out, held_out_source=mixed)
    return copies
