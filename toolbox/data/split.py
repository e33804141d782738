"""Deals samples into training, validation and test: stratified, never through a group, the same everywhere.

What the dataset already says stays; ratios make only what is missing. The order in which units are drawn is
that of a hash keyed by seed and name, so adding or reordering files does not reshuffle the others.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor

from toolbox.data.manifest import Manifest, Row
from toolbox.errors import UsageError, closest
from toolbox.settings.schema import SplitSettings


def assign(manifest: Manifest, settings: SplitSettings) -> Manifest:
    """``manifest`` with a split for every sample.

    A test split is made (``settings.test`` of each class) unless there is one; then a validation split
    (``settings.val`` of what is left) unless there is one. Ratio 0 makes none.

    Raises
    ------
    UsageError: fewer than two classes; a class too small for its share; a group that the dataset's own splits
        divide; nothing left to train on.
    """
    if len(manifest.classes) < 2:
        raise UsageError(
            f"there is only one class, {manifest.classes[0]!r}; classification needs two",
            "Give a folder that holds one folder for each class.",
        )
    rows = with_groups(manifest.rows, settings.group_by)
    _check_groups(rows)
    given = {row.split for row in rows}
    for split, ratio in (("test", settings.test), ("val", settings.val)):
        if split not in given and ratio > 0:
            rows = _draw(rows, split, ratio, settings.seed)
    rows = tuple(row if row.split else row.with_split("train") for row in rows)
    _check_training(rows, manifest.classes)
    return replace(manifest, rows=rows)


def with_groups(rows: Sequence[Row], group_by: str) -> tuple[Row, ...]:
    """``rows`` with their group by ``group_by``: a manifest column, or a regular expression with one capture.

    Raises
    ------
    UsageError: no such column, a bad expression, or a path that it doesn't match.
    """
    if not group_by or group_by == "group":
        return tuple(rows)
    if all(group_by in row.columns for row in rows):
        return tuple(replace(row, group=row.columns[group_by]) for row in rows)
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UsageError(f"split.group_by {group_by!r} is no regular expression: {error}") from error
    if pattern.groups != 1:
        columns = sorted({name for row in rows for name in row.columns})
        raise UsageError(
            f"split.group_by {group_by!r} is no manifest column and no regular expression with one capture",
            closest(group_by, columns) or r"For example --group-by '(sub-\d+)'.",
        )
    grouped = []
    for row in rows:
        found = pattern.search(row.path)
        if found is None or not found[1]:
            raise UsageError(f"split.group_by {group_by!r} finds no group in the path {row.path!r}")
        grouped.append(replace(row, group=found[1]))
    return tuple(grouped)


def share(ratio: float, count: int) -> int:
    """floor(ratio × count), with the ratio as it was written: 0.29 × 100 is 29, in floating point 28."""
    return floor(Fraction(str(ratio)) * count)


def _draw(rows: Sequence[Row], split: str, ratio: float, seed: int) -> tuple[Row, ...]:
    """Move whole groups into ``split`` until each class has its share of the samples that no split has yet.

    Where the dataset has assigned everything, what is missing is taken from its training part, as study B does.
    A sample of no group is a group of its own, so that without groups the share is met exactly. A group counts
    for the class that most of its samples have.
    """
    free = [row for row in rows if not row.split] or [row for row in rows if row.split == "train"]
    units: dict[str, list[Row]] = defaultdict(list)
    for row in free:
        units[f"group {row.group}" if row.group else f"sample {row.id}"].append(row)
    by_class: dict[str, list[str]] = defaultdict(list)
    for name, members in units.items():
        by_class[_majority(members)].append(name)
    taken: set[str] = set()
    for label, names in by_class.items():
        count = sum(len(units[name]) for name in names)
        wanted = share(ratio, count)
        if wanted == 0:
            raise UsageError(
                f"class {label!r} has {count} samples; {ratio:g} of them for {split} is none",
                f"Set split.{split} higher, or to 0 for no {split} split.",
            )
        chosen = _fill(names, {name: len(units[name]) for name in names}, wanted, f"{seed}/{split}")
        if len(chosen) == len(names):
            raise UsageError(
                f"class {label!r} has too few groups ({len(names)}) for a {split} split",
                "A group (a patient, say) is never divided; add groups or set the ratio to 0.",
            )
        taken.update(row.id for name in chosen for row in units[name])
    return tuple(row.with_split(split) if row.id in taken else row for row in rows)


def _fill(names: Sequence[str], sizes: dict[str, int], wanted: int, key: str) -> list[str]:
    """Units in hash order until ``wanted`` samples are reached as nearly as whole units allow, at least one."""
    chosen: list[str] = []
    total = 0
    for name in sorted(names, key=lambda name: hashlib.sha256(f"{key}/{name}".encode()).digest()):
        size = sizes[name]
        if abs(total + size - wanted) < abs(total - wanted) or not chosen:
            chosen.append(name)
            total += size
        if total >= wanted:
            break
    return chosen


def _majority(rows: Sequence[Row]) -> str:
    counts = Counter(row.label for row in rows)
    return min(counts, key=lambda label: (-counts[label], label))


def _check_groups(rows: Sequence[Row]) -> None:
    splits: dict[str, str] = {}
    for row in rows:
        if row.group and row.split and splits.setdefault(row.group, row.split) != row.split:
            raise UsageError(
                f"the dataset's own splits divide the group {row.group!r} ({splits[row.group]} and {row.split})",
                "That is a leak: give a folder or manifest without splits, and let them be made by group.",
            )


def _check_training(rows: Sequence[Row], classes: Sequence[str]) -> None:
    present = {row.label for row in rows if row.split == "train"}
    missing = [label for label in classes if label not in present]
    if missing:
        raise UsageError(f"the training split has no image of class {missing[0]!r}", "Lower split.test or split.val.")
