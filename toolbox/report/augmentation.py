"""Pictures of an augmentation: a preview of copies, and the images of each class before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from toolbox.augment.recipe import build_recipe, count_files, load_set, select_sources
from toolbox.augment.writer import AugmentResult
from toolbox.data.manifest import Manifest
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.files.atomic import write_bytes
from toolbox.files.outputs import check_output
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.report import figures, plots, sheets
from toolbox.settings.schema import Settings


def write_class_chart(result: AugmentResult, manifest: Manifest) -> None:
    """Draw the images of each class before and after augmentation beside the set, unless that is up to date."""
    chart = result.path.with_name(f"{result.path.name}-classes.png")
    if result.written or not chart.exists():
        recipe = load_set(result.path).recipe
        rows = select_sources(recipe.protocol, manifest)
        write_bytes(chart, figures.to_png(plots.files_by_class(rows, count_files(recipe, rows))))


def write_preview(
    settings: Settings,
    load_split: Callable[[], SplitDataset],
    count: int,
    path: Path,
    registry: Registry,
    overwrite: bool = False,
) -> None:
    """Draw ``count`` of the images that get copies, and some copies of each; ``load_split`` is called after all checks.

    Raises
    ------
    UsageError: an unknown augmenter, or see :func:`check_output`.
    """
    check_output(path, overwrite)
    augmenter = registry.augmenter(parse(settings.augment.augmenter))
    split = load_split()
    recipe = build_recipe(settings, split.manifest)
    rows = select_sources(recipe.protocol, split.manifest)
    spaced = rows[:: max(1, len(rows) // count)][:count]
    sheets.write(sheets.of_preview(recipe, spaced, split.source, augmenter), path, overwrite)
