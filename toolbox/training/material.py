"""Which images a run trains on: the originals, the augmented set that belongs to them, or copies on the fly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolbox.augment import recipe as recipes
from toolbox.augment.recipe import AugmentedSet, Recipe
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Row
from toolbox.data.source import ManifestDataset, Source
from toolbox.data.workspace_manifest import Prepared
from toolbox.errors import UsageError
from toolbox.progress import Reporter
from toolbox.settings.schema import Settings


@dataclass(frozen=True)
class TrainingSource:
    """Where training images come from: ``kind`` is originals, augmented or online."""

    kind: str
    rows: Sequence[Row]
    source: Source
    set_name: str = ""
    recipe: Recipe | None = None


_WHICH = (
    "Give the options that one was made with (--augmenter, --seed, --set augment.factor=N), or --train-on originals."
)


def choose(settings: Settings, prepared: Prepared, workspace: Path, reporter: Reporter) -> TrainingSource:
    """What ``training.train_on`` means here; says which it took.

    Raises
    ------
    UsageError: no augmented set, or several, match data and split.
    """
    wish = settings.training.train_on
    originals = prepared.manifest.part("train")
    if wish == "online":
        reporter.info(f"training on {len(originals)} originals, with a fresh copy of each in every epoch")
        return TrainingSource("online", originals, prepared.source)
    sets = recipes.matching(workspace, prepared.manifest) if wish != "originals" else []
    if len(sets) > 1:
        # The options a set was made with single it out.
        named = recipes.of_settings(settings, prepared.manifest).name
        sets = [found for found in sets if found.path.name == named] or sets
    if len(sets) > 1:
        names = ", ".join(found.path.name for found in sets)
        raise UsageError(f"several augmented sets match: {names}", _WHICH)
    if wish == "augmented" and not sets:
        raise UsageError("no augmented set matches the data and its split", "Run 'toolbox augment' first.")
    if not sets:
        reporter.info(f"training on the {len(originals)} originals (no augmented set matches)")
        return TrainingSource("originals", originals, prepared.source)
    return _augmented(sets[0], originals, reporter)


def _augmented(found: AugmentedSet, originals: Sequence[Row], reporter: Reporter) -> TrainingSource:
    table = manifests.read(found.path / manifests.FILE_NAME)
    sources = {row.id for row in originals}
    strangers = [row.path for row in table.rows if row.columns.get("source") not in sources]
    if strangers or len(table.rows) != len(originals) * found.recipe.factor:
        raise UsageError(
            f"{found.path} does not hold {found.recipe.factor} copies of each training image and nothing else",
            "Delete it and run 'toolbox augment' again.",
        )
    reporter.info(f"training on the {len(table.rows):,} copies in {found.path.name}")
    # The set may have been moved with its workspace: paths are relative to where it is now.
    moved = replace(table, root=found.path)
    source = Source(ManifestDataset(moved), str(found.path))
    return TrainingSource("augmented", table.rows, source, found.path.name, found.recipe)
