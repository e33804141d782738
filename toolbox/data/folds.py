"""Folds for cross-validation: stratified, and no unit (a group, or a sample that stands alone) is divided."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from toolbox.api.errors import UsageError
from toolbox.data.manifest import Row


def assign_folds(units: Mapping[str, Sequence[Row]], folds: int, seed: int) -> dict[str, int]:
    """The fold (0 to ``folds`` − 1) of each unit.

    Units come largest first, equal ones in hash order, and each goes where its classes are scarcest: the fold for
    which the sum over classes of (share of the class in the fold)² grows least (greedy, after scikit-learn's
    ``StratifiedGroupKFold``). Units whose rows have a fold already keep it.

    Raises
    ------
    UsageError: fewer folds than two, or a class with fewer units than folds.
    """
    if folds < 2:
        raise UsageError(
            f"split.folds = {folds}: cross-validation needs at least 2 folds", "Pass --folds 5, or 0 for none."
        )
    counts = {name: Counter(row.label for row in rows) for name, rows in units.items()}
    totals: Counter[str] = sum(counts.values(), Counter())
    for label in sorted(totals):
        having = sum(label in count for count in counts.values())
        if having < folds:
            raise UsageError(
                f"class {label!r} has {having} images or groups to assign: too few for {folds} folds",
                f"Pass --folds {having} or fewer." if having > 1 else "Add groups of that class, or leave --folds out.",
            )
    loads: list[Counter[str]] = [Counter() for _ in range(folds)]
    fold_of: dict[str, int] = {}
    for name, rows in units.items():
        known = next((row.fold for row in rows if row.fold), "")
        if known:
            fold_of[name] = _known(known, folds, rows[0])
            loads[fold_of[name]] += counts[name]
    fresh = [name for name in units if name not in fold_of]
    for name in sorted(fresh, key=lambda name: (-len(units[name]), _key(name, seed))):
        fold_of[name] = min(range(folds), key=lambda fold: (_growth(loads[fold], counts[name], totals), fold))
        loads[fold_of[name]] += counts[name]
    return fold_of


def _growth(load: Mapping[str, int], unit: Mapping[str, int], totals: Mapping[str, int]) -> tuple[float, int]:
    """By how much the fold's squared shares grow, and its size, which decides between equals."""
    grown = sum(count * (2 * load.get(label, 0) + count) / totals[label] ** 2 for label, count in unit.items())
    return round(grown, 12), sum(load.values())


def _known(fold: str, folds: int, row: Row) -> int:
    if not fold.isdecimal() or int(fold) >= folds:
        raise UsageError(
            f"{row.path}: the fold {fold!r} is none of 0 to {folds - 1}",
            "The manifest's own folds stay. Pass --folds with their number, or empty the column.",
        )
    return int(fold)


def _key(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/fold/{name}".encode()).digest()
