"""What an augmented set is made of, and therefore what it is called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolbox.data.manifest import Manifest, Row
from toolbox.errors import UsageError
from toolbox.files import fingerprint
from toolbox.files.names import safe_name
from toolbox.plugin.spec import Spec, parse
from toolbox.settings.schema import Settings

FOLDER = "augmented"
FILE_NAME = "recipe.json"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the bytes of an augmented set.

    ``sources`` is the fingerprint of the training samples, ``split`` that of who is where; a set belongs to
    data and split that have the same two.
    """

    augmenter: str
    parameters: Mapping[str, Any]
    factor: int
    include_source: bool
    size: int
    format: str
    quality: int
    seed: int
    sources: str
    split: str

    @property
    def name(self) -> str:
        """The set's folder: the augmenter, and a hash of everything."""
        return f"{safe_name(self.augmenter)}-{fingerprint.of_record(asdict(self))[:8]}"

    @property
    def spec(self) -> Spec:
        """The augmenter as a component spec."""
        return Spec(self.augmenter, self.parameters)

    def document(self) -> dict[str, Any]:
        """What ``recipe.json`` holds."""
        return {"name": self.name, **asdict(self)}


def of_settings(settings: Settings, manifest: Manifest) -> Recipe:
    """The recipe that ``settings`` describe for the training samples of ``manifest``."""
    spec = parse(settings.augment.augmenter)
    return Recipe(
        augmenter=spec.name,
        parameters=dict(spec.parameters),
        factor=settings.augment.factor,
        include_source=settings.augment.include_source,
        size=settings.augment.size,
        format=settings.augment.format,
        quality=settings.augment.quality,
        seed=settings.seed,
        sources=sources_fingerprint(manifest.part("train")),
        split=manifest.split_fingerprint,
    )


def sources_fingerprint(rows: list[Row]) -> str:
    """SHA-256 over the sorted (id, label, pixel hash) of the sources."""
    return fingerprint.of_rows((row.id, row.label, row.pixels) for row in rows)


@dataclass(frozen=True)
class AugmentedSet:
    """A finished set on disk."""

    path: Path
    recipe: Recipe


def load(folder: Path) -> AugmentedSet:
    """The set in ``folder``.

    Raises
    ------
    UsageError: it has no readable ``recipe.json``.
    """
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_text("utf-8"))
        names = Recipe.__dataclass_fields__
        recipe = Recipe(**{key: value for key, value in document.items() if key in names})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        hint = "Delete it and run 'toolbox augment' again."
        raise UsageError(f"{folder} is no augmented set: {error}", hint) from error
    return AugmentedSet(folder, recipe)


def matching(workspace: Path, manifest: Manifest) -> list[AugmentedSet]:
    """The finished sets in ``workspace`` that were made from the data and split of ``manifest``."""
    folder = workspace / FOLDER
    if not folder.is_dir():
        return []
    sources, split = sources_fingerprint(manifest.part("train")), manifest.split_fingerprint
    sets = [load(path.parent) for path in sorted(folder.glob(f"[!.]*/{FILE_NAME}"))]
    return [found for found in sets if (found.recipe.sources, found.recipe.split) == (sources, split)]
