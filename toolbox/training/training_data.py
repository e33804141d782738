"""Which images a run trains on: the originals, the augmented set that belongs to them, or copies on the fly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolbox.api.errors import Refused, UsageError
from toolbox.api.progress import Reporter
from toolbox.augment import recipe as recipes
from toolbox.augment.recipe import AugmentedSet, Recipe
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Row
from toolbox.data.source import ManifestDataset, Source
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.settings.schema import Settings


@dataclass(frozen=True)
class TrainingSource:
    """Where images come from: ``rows`` to train on and ``held_out`` ones, each with what reads them.

    ``kind`` is originals, augmented or online.
    """

    kind: str
    rows: Sequence[Row]
    source: Source
    held_out: Sequence[Row]
    held_out_source: Source
    set_name: str = ""
    recipe: Recipe | None = None


_WHICH = (
    "Give the options that one was made with (--augmenter, --seed, --set augment.factor=N), or --train-on originals."
)


def choose(settings: Settings, prepared: SplitDataset, workspace: Path, reporter: Reporter) -> TrainingSource:
    """What ``training.train_on`` means here; says which it took.

    Raises
    ------
    UsageError: no augmented set, or several, match data and split.
    """
    wish = settings.training.train_on
    originals = prepared.manifest.part("train")
    kept = [row for row in prepared.manifest.rows if row.split != "train"]
    held_out = (kept, prepared.source)
    if wish == "online":
        reporter.info(f"training on {len(originals)} originals, with a fresh copy of each in every epoch")
        return TrainingSource("online", originals, prepared.source, *held_out)
    protocol = settings.split.protocol
    sets = recipes.find_matching(workspace, protocol, prepared.manifest) if wish != "originals" else []
    if len(sets) > 1:
        # The options a set was made with single it out.
        named = recipes.build_recipe(settings, prepared.manifest).name
        sets = [found for found in sets if found.path.name == named] or sets
    if len(sets) > 1:
        names = ", ".join(found.path.name for found in sets)
        raise UsageError(f"several augmented sets match: {names}", _WHICH)
    if wish == "augmented" and not sets:
        raise UsageError("no augmented set matches the data and its split", "Run 'toolbox augment' first.")
    if not sets:
        why = "" if wish == "originals" else " (no augmented set matches)"
        reporter.info(f"training on the {len(originals)} originals{why}")
        return TrainingSource("originals", originals, prepared.source, *held_out)
    return _augmented(sets[0], prepared, held_out, reporter)


def _augmented(
    found: AugmentedSet, prepared: SplitDataset, held_out: tuple[Sequence[Row], Source], reporter: Reporter
) -> TrainingSource:
    """The copies of ``found``; under ``augment-then-split`` they are what is evaluated on, too."""
    table = manifests.read(found.path / manifests.FILE_NAME)
    wanted = recipes.count_files(found.recipe, recipes.select_sources(found.recipe.protocol, prepared.manifest))
    strangers = [row for row in table.rows if row.columns.get("source") not in wanted]
    if strangers:
        raise Refused(
            f"{found.path} holds copies of images that are not in the training split ({strangers[0].path}, for one)",
            "That is a leak: delete the set and run 'toolbox augment' again.",
        )
    if Counter(row.columns["source"] for row in table.rows) != wanted:
        raise UsageError(
            f"{found.path} does not hold the copies of each training image that its recipe promises, and no others",
            "Delete it and run 'toolbox augment' again.",
        )
    gone = next((row.path for row in table.rows if not (found.path / row.path).is_file()), None)
    if gone is not None:  # looked for here, as pictures that are in the cache are not read again
        raise UsageError(
            f"{found.path / gone} can't be read: it is gone", "Delete the set and run 'toolbox augment' again."
        )
    # The set may have been moved with its workspace: paths are relative to where it is now.
    source = Source(ManifestDataset(replace(table, root=found.path)), str(found.path))
    rows = table.part("train")
    if found.recipe.protocol == "augment-then-split":
        held_out = ([row for row in table.rows if row.split != "train"], source)
    reporter.info(f"training on {len(rows):,} copies in {found.path.name}")
    return TrainingSource("augmented", rows, source, *held_out, found.path.name, found.recipe)
