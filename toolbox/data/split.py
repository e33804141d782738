"""Deals samples into training, validation and test: stratified, never through a group, the same everywhere.

What the dataset already says stays, and so does what an older manifest says; ratios make only what is missing.
The order in which units are drawn is that of a hash keyed by seed and name, so adding or reordering files does
not reshuffle the others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor

from toolbox.api.errors import UsageError
from toolbox.data import folds
from toolbox.data.groups import assign_groups, collect_units, merge_groups
from toolbox.data.manifest import SPLITS, Manifest, Row
from toolbox.settings.schema import SplitSettings


def assign(
    manifest: Manifest,
    settings: SplitSettings,
    old: Manifest | None = None,
    duplicates: Iterable[tuple[str, str]] = (),
) -> Manifest:
    """``manifest`` with a split for every sample.

    A test split is made (``settings.test`` of each class, or the fold ``settings.fold`` of ``settings.folds``)
    unless there is one; then a validation split (``settings.val`` of what is left) unless there is one. Ratio 0
    makes none. Where the dataset brings its own test split, a fold is the validation split.

    ``old`` is an older manifest whose assignments stay. ``duplicates`` are pairs of ids that belong together: unless
    ``settings.duplicates`` is ``keep`` they are dealt as one, and with ``group`` they become one group. Under
    the ``augment-then-split`` protocol groups are divided like anything else, as the source studies did; under
    ``augment-then-validate`` there is no validation split here, as it is dealt from the copies.

    Raises
    ------
    UsageError: fewer than two classes; a class too small for its share; nothing left to train on.
    """
    if len(manifest.classes) < 2:
        raise UsageError(
            f"there is only one class, {manifest.classes[0]!r}; classification needs two",
            "Give a folder that holds one folder for each class.",
        )
    rows = assign_groups(manifest.rows, settings.group_by)
    own = {row.id: row.group for row in rows}
    if settings.duplicates != "keep":
        # What is made here keeps duplicates together either way; dropping is for what the dataset's splits divide.
        rows = merge_groups(rows, duplicates)
    if settings.duplicates == "group":
        _check_joined(rows, own)
    present = {row.split for row in rows}
    divide = settings.protocol == "augment-then-split"
    if old is not None:
        rows = _extended(rows, old, divide)
    if settings.fold and not settings.folds:
        raise UsageError(f"split.fold = {settings.fold}, and there are no folds", "Also pass --folds 5.")
    if settings.folds:
        held_out = "val" if "test" in present else "test"
        rows = _folded(rows, settings, held_out, divide)
        present |= {"test", held_out}
    val = 0 if settings.protocol == "augment-then-validate" else settings.val
    for split, ratio in (("test", settings.test), ("val", val)):
        if split not in present and ratio > 0:
            rows = _draw(rows, split, ratio, settings.seed, divide, extending=old is not None)
    rows = tuple(row if row.split else row.with_split("train") for row in rows)
    if settings.duplicates == "drop":
        rows = tuple(replace(row, group=own[row.id]) for row in rows)
    _check_training(rows, manifest.classes)
    return replace(manifest, rows=rows)


def count_known(old: Manifest, rows: Sequence[Row]) -> int:
    """How many of ``rows`` an older manifest knows, by id or by pixels."""
    ids = {row.id for row in old.rows}
    pixels = {row.pixels for row in old.rows if row.pixels}
    return sum(row.id in ids or row.pixels in pixels for row in rows)


def share(ratio: float, count: int) -> int:
    """floor(ratio × count), with the ratio as it was written: 0.29 × 100 is 29, in floating point 28."""
    return floor(Fraction(str(ratio)) * count)


def _extended(rows: Sequence[Row], old: Manifest, divide: bool) -> tuple[Row, ...]:
    """``rows`` with the split and fold that ``old`` gave them, by id or else by pixels; a new sample of a group
    that has a place goes there."""
    by_id = {row.id: row for row in old.rows}
    by_pixels = {row.pixels: row for row in old.rows if row.pixels}
    placed = []
    for row in rows:
        known = by_id.get(row.id) or by_pixels.get(row.pixels)
        placed.append(replace(row, split=row.split or known.split, fold=row.fold or known.fold) if known else row)
    result: dict[str, Row] = {}
    for members in collect_units(placed, divide).values():
        homes = {row.split for row in members if row.split}
        home = next((split for split in reversed(SPLITS) if split in homes), "")
        fold = next((row.fold for row in members if row.fold), "")
        for row in members:
            result[row.id] = row if row.split else replace(row, split=home, fold=row.fold or fold)
    return tuple(result[row.id] for row in rows)


def _folded(rows: Sequence[Row], settings: SplitSettings, held_out: str, divide: bool) -> tuple[Row, ...]:
    """``rows`` with a fold for all that are not the dataset's own validation or test samples, one fold held out."""
    if settings.fold >= settings.folds:
        raise UsageError(f"split.fold = {settings.fold}: the folds are 0 to {settings.folds - 1}")
    # Whoever extends a folded manifest has some of these held out already; those have a fold.
    free = [row for row in rows if row.split in ("", "train") or row.fold]
    pool = collect_units(free, divide)
    fold_of = {
        row.id: number
        for name, number in folds.assign_folds(pool, settings.folds, settings.seed).items()
        for row in pool[name]
    }

    def placed(row: Row) -> Row:
        if row.id not in fold_of:
            return row
        number = fold_of[row.id]
        split = held_out if number == settings.fold else ("" if row.split == held_out else row.split)
        return replace(row, fold=str(number), split=split)

    return tuple(placed(row) for row in rows)


def _draw(rows: Sequence[Row], split: str, ratio: float, seed: int, divide: bool, extending: bool) -> tuple[Row, ...]:
    """Move whole units into ``split`` until each class has its share of the samples that no split has yet.

    Where the dataset has assigned everything, what is missing is taken from its training part, as study B does.
    A sample of no group is a unit of its own, so that without groups the share is met exactly. A unit counts for
    the class that most of its samples have. When extending, those that are there already count, and no old
    sample moves.
    """
    earlier = SPLITS[SPLITS.index(split) + 1 :]  # test is drawn before validation
    free = [row for row in rows if not row.split]
    if not free and not extending:
        free = [row for row in rows if row.split == "train"]
    pool = collect_units(free, divide)
    by_class: dict[str, list[str]] = defaultdict(list)
    for name, members in pool.items():
        by_class[_majority(members)].append(name)
    taken: set[str] = set()
    for label, names in by_class.items():
        count = sum(len(pool[name]) for name in names)
        if extending:
            count = sum(row.label == label and row.split not in earlier for row in rows)
        there = sum(row.label == label and row.split == split for row in rows)
        wanted = share(ratio, count)
        if extending and wanted <= there:
            continue
        if wanted == 0:
            raise UsageError(
                f"class {label!r} has {count} samples; {ratio:g} of them for {split} is none",
                f"Set split.{split} higher, or to 0 for no {split} split.",
            )
        chosen = _fill(names, {name: len(pool[name]) for name in names}, wanted - there, f"{seed}/{split}")
        if len(chosen) == len(names) and not extending:
            raise UsageError(
                f"class {label!r} has too few groups ({len(names)}) for a {split} split of {ratio:g}",
                f"A group (a patient, say) is never divided; add groups, set split.{split} lower, or to 0.",
            )
        taken.update(row.id for name in chosen for row in pool[name])
    return tuple(row.with_split(split) if row.id in taken else row for row in rows)


def _fill(names: Sequence[str], sizes: dict[str, int], target: int, key: str) -> list[str]:
    """Units in hash order until ``wanted`` samples are reached as nearly as whole units allow, at least one."""
    chosen: list[str] = []
    total = 0
    for name in sorted(names, key=lambda name: hashlib.sha256(f"{key}/{name}".encode()).digest()):
        size = sizes[name]
        if abs(total + size - target) < abs(total - target) or not chosen:
            chosen.append(name)
            total += size
        if total >= target:
            break
    return chosen


def _majority(rows: Sequence[Row]) -> str:
    counts = Counter(row.label for row in rows)
    return min(counts, key=lambda label: (-counts[label], label))


def _check_joined(rows: Sequence[Row], own: Mapping[str, str]) -> None:
    """Duplicates that the dataset's own splits divide can't be kept together: what is there stays."""
    first: dict[str, Row] = {}
    for row in rows:
        if not row.group or not row.split or row.group == own[row.id]:
            continue
        other = first.setdefault(row.group, row)
        if other.split != row.split:
            raise UsageError(
                f"{other.path} and {row.path} are duplicates, and the dataset's own splits divide them",
                "Pass --drop-leaks to leave the training side out.",
            )


def _check_training(rows: Sequence[Row], classes: Sequence[str]) -> None:
    present = {row.label for row in rows if row.split == "train"}
    missing = [label for label in classes if label not in present]
    if missing:
        raise UsageError(
            f"the training split has no image of class {missing[0]!r}", "Lower split.test, split.val or split.folds."
        )
