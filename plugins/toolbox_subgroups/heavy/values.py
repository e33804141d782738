"""A manifest column as subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toolbox.api.errors import UsageError, closest

MOST = 12
"""More different values than this are no subgroups: numbers are cut, texts refused."""

UNKNOWN = "(not given)"


def subgroups(columns: Mapping[str, Sequence[str]], column: str, cuts: int) -> list[str]:
    """The subgroup of each sample by ``column``; numbers of many values are cut into ``cuts`` parts of equal size.

    Raises
    ------
    UsageError: no such column, or more values than can be compared.
    """
    if column not in columns:
        known = (
            f"The manifest has: {', '.join(sorted(columns))}." if columns else "The manifest has no further columns."
        )
        raise UsageError(f"there is no column {column!r}", f"{closest(column, columns)} {known}".strip())
    values = [value.strip() or UNKNOWN for value in columns[column]]
    different = sorted(set(values))
    if len(different) > MOST:
        numbers = _numbers(values)
        if numbers is None:
            raise UsageError(
                f"the column {column!r} has {len(different):,} different values: more than {MOST} are no subgroups",
                f"The first: {', '.join(different[:3])}. Add a column with fewer to the manifest.",
            )
        values = _cut(numbers, cuts)
    return values


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float("nan") if value == UNKNOWN else float(value) for value in values]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).any() else None


def _cut(numbers: Sequence[float], parts: int) -> list[str]:
    known = np.array(numbers)
    known = known[np.isfinite(known)]
    # Ends are values that occur, so that equal numbers are never divided.
    ends = np.unique(np.quantile(known, np.linspace(0, 1, parts + 1)[1:], method="inverted_cdf"))
    place = np.searchsorted(ends, known)
    names = [f"{known[place == part].min():g} to {known[place == part].max():g}" for part in range(len(ends))]
    width = len(str(len(ends)))
    return [
        f"{at + 1:0{width}d}: {names[at]}" if np.isfinite(number) else UNKNOWN
        for number, at in zip(numbers, np.searchsorted(ends, np.nan_to_num(numbers)).tolist(), strict=True)
    ]
