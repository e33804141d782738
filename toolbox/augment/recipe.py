"""What an augmented set is made of, and therefore what it is called."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolbox.api.errors import UsageError, closest
from toolbox.api.warp import RESAMPLING
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Manifest, Row
from toolbox.files import fingerprint
from toolbox.files.names import safe_name
from toolbox.plugin.spec import Spec, parse

if TYPE_CHECKING:
    from toolbox.settings.schema import Settings

FOLDER = "augmented"
FILE_NAME = "recipe.json"
_DEALT_BY = {"test", "val", "seed", "folds", "fold"}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the bytes of an augmented set.

    ``sources`` is the fingerprint of the samples that get copies, ``split`` that of who is where; a set belongs to
    data and split that have the same two. ``dealt`` holds the split settings that the copies themselves are dealt
    by under the ``augment-then-split`` protocol, else nothing. ``balance`` gives the sources of smaller classes more
    copies. ``resampling``: the version of :data:`toolbox.api.warp.RESAMPLING`; 1 is that of sets without this key.
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
    protocol: str = "split-then-augment"
    dealt: Mapping[str, Any] = field(default_factory=dict)
    balance: bool = False
    resampling: int = 1

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


def build_recipe(settings: Settings, manifest: Manifest) -> Recipe:
    """The recipe that ``settings`` describe for the samples of ``manifest`` that get copies."""
    spec = parse(settings.augment.augmenter)
    protocol = settings.split.protocol
    dealt = {} if protocol == "split-then-augment" else settings.split.model_dump(include=_DEALT_BY)
    if protocol == "augment-then-validate":
        dealt = {"test": 0.0, "val": settings.split.val, "seed": settings.split.seed}
    return Recipe(
        augmenter=spec.name,
        parameters=dict(spec.parameters),
        factor=settings.augment.factor,
        include_source=settings.augment.include_source,
        size=settings.augment.size,
        format=settings.augment.format,
        quality=settings.augment.quality,
        seed=settings.seed,
        sources=sources_fingerprint(select_sources(protocol, manifest)),
        split=manifest.split_fingerprint,
        protocol=protocol,
        dealt=dealt,
        balance=settings.augment.balance,
        resampling=RESAMPLING,
    )


def select_sources(protocol: str, manifest: Manifest) -> list[Row]:
    """The samples that get copies: the training split, or under ``augment-then-split`` (leaky) all of them."""
    return list(manifest.rows) if protocol == "augment-then-split" else manifest.part("train")


def count_files(recipe: Recipe, rows: Sequence[Row]) -> dict[str, int]:
    """How many files each source gets, by its id: ``factor``, or with ``balance`` as many as even the classes out.

    The largest class gets ``factor`` for each of its sources, and every other one as many in all. What does not
    divide goes to the sources that come first in hash order.
    """
    if not recipe.balance:
        return {row.id: recipe.factor for row in rows}
    by_class: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_class[row.label].append(row.id)
    goal = recipe.factor * max(map(len, by_class.values()))
    counts: dict[str, int] = {}
    for names in by_class.values():
        each, more = divmod(goal, len(names))
        order = sorted(names, key=lambda name: fingerprint.of_bytes(f"{recipe.seed}/{name}".encode()))
        counts.update({name: each + (place < more) for place, name in enumerate(order)})
    return counts


def split_copies(recipe: Recipe, copies: Iterable[Row]) -> Iterable[Row]:
    """``copies``, which are all for training, or under the source studies' protocols dealt one by one, so that copies
    of one image fall on both sides: of all splits (study A), or of training and validation (study B)."""
    if recipe.protocol == "split-then-augment":
        return copies
    # Here, since every worker imports this module and needs neither.
    from toolbox.data.split import assign
    from toolbox.settings.schema import SplitSettings

    settings = SplitSettings(**recipe.dealt, protocol="augment-then-split")
    return assign(Manifest(tuple(copies)), settings).rows


def sources_fingerprint(rows: list[Row]) -> str:
    """SHA-256 over the sorted (id, label, pixel hash) of the sources."""
    return fingerprint.of_rows((row.id, row.label, row.pixels) for row in rows)


@dataclass(frozen=True)
class AugmentedSet:
    """A finished set on disk."""

    path: Path
    recipe: Recipe


def load_set(folder: Path) -> AugmentedSet:
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


def find_set(workspace: Path, name: str = "") -> Path:
    """The folder of the augmented set that ``name`` (in ``augmented/``, or a path) names; the only one without.

    Raises
    ------
    UsageError: there is none, or several.
    """
    if name:
        for folder in (workspace / FOLDER / name, Path(name)):
            if (folder / FILE_NAME).is_file():
                return folder
    known = sorted(path.parent for path in (workspace / FOLDER).glob(f"[!.]*/{FILE_NAME}"))
    if len(known) == 1 and not name:
        return known[0]
    names = [path.name for path in known]
    if not known:
        raise UsageError(f"there is no augmented set in {workspace / FOLDER}", "Make one: 'toolbox augment'.")
    problem = f"there is no augmented set {name!r}" if name else "there are several augmented sets"
    raise UsageError(problem, closest(name, names) if name else f"Name one of {', '.join(names)}.")


def read_copies(workspace: Path, settings: Settings, manifest: Manifest) -> Iterator[Row]:
    """The rows of every set in ``workspace`` that belongs to ``manifest``, their paths seen from the workspace.

    Copies that ``augment-then-validate`` deals to validation on purpose are on the side of training.
    """
    for augmented in find_matching(workspace, settings.split.protocol, manifest):
        for row in manifests.read(augmented.path / manifests.FILE_NAME).rows:
            if "source" in row.columns:
                split = "train" if settings.split.protocol == "augment-then-validate" else row.split
                yield replace(row, path=f"{FOLDER}/{augmented.path.name}/{row.path}", split=split)


def find_matching(workspace: Path, protocol: str, manifest: Manifest) -> list[AugmentedSet]:
    """The finished sets in ``workspace`` that were made from the data and split of ``manifest``."""
    folder = workspace / FOLDER
    if not folder.is_dir():
        return []
    key = (protocol, sources_fingerprint(select_sources(protocol, manifest)), manifest.split_fingerprint)
    sets = [load_set(path.parent) for path in sorted(folder.glob(f"[!.]*/{FILE_NAME}"))]
    return [each for each in sets if (each.recipe.protocol, each.recipe.sources, each.recipe.split) == key]
