"""Groups: what a split must never divide. A patient, a scan, a burst of photos, an image and its near-duplicates."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import regex

from toolbox.api.errors import UsageError, closest
from toolbox.data.manifest import Row

_SECONDS = 1.0
"""How long an expression may search one path."""


def assign_groups(rows: Sequence[Row], group_by: str) -> tuple[Row, ...]:
    """``rows`` with their group by ``group_by``: a manifest column, or a regular expression with one capture.

    Raises
    ------
    UsageError: no such column, a bad expression, or a path that it doesn't match.
    """
    if not group_by or group_by == "group":
        return tuple(rows)
    if all(group_by in row.columns for row in rows):
        return tuple(replace(row, group=row.columns[group_by]) for row in rows)
    pattern = _compiled(group_by, rows)
    grouped = []
    for row in rows:
        try:
            match = pattern.search(row.path, timeout=_SECONDS)
        except TimeoutError as error:
            raise UsageError(
                f"split.group_by {group_by} takes too long to match {row.path}",
                "Avoid nested repetition such as (a+)+.",
            ) from error
        if match is None or not match[1]:
            raise UsageError(
                f"split.group_by {group_by} finds no group in the path {row.path}",
                "The part in parentheses must match in every path; the groups can also stand in a column of a"
                " manifest.csv.",
            )
        grouped.append(replace(row, group=match[1]))
    return tuple(grouped)


def merge_groups(rows: Sequence[Row], links: Iterable[tuple[str, str]]) -> tuple[Row, ...]:
    """``rows`` with one group for whatever ``links`` (pairs of ids) and their own groups hang together.

    Where nothing is joined, a row keeps the group it has. A joined group is named after its parts.
    """
    parents = {_unit(row): _unit(row) for row in rows}
    unit_of = {row.id: _unit(row) for row in rows}

    def root(unit: str) -> str:
        while parents[unit] != unit:
            parents[unit] = parents[parents[unit]]
            unit = parents[unit]
        return unit

    for first, second in links:
        one, other = root(unit_of[first]), root(unit_of[second])
        parents[max(one, other)] = min(one, other)
    members: dict[str, list[str]] = defaultdict(list)
    for unit in parents:
        members[root(unit)].append(unit)
    names = {key: _joint_name(parts) for key, parts in members.items() if len(parts) > 1}
    return tuple(replace(row, group=names.get(root(_unit(row)), row.group)) for row in rows)


def collect_units(rows: Sequence[Row], divide: bool = False) -> dict[str, list[Row]]:
    """``rows`` by what is dealt as a whole: a group, or a sample that stands alone (``divide``: each sample)."""
    units: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        units[f"sample {row.id}" if divide else _unit(row)].append(row)
    return units


def _unit(row: Row) -> str:
    return f"group {row.group}" if row.group else f"sample {row.id}"


def _joint_name(parts: list[str]) -> str:
    names = sorted(unit.partition(" ")[2] for unit in parts)
    if len(names) <= 3:
        return "+".join(names)
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]
    return f"{names[0]}+{len(names) - 1} more-{digest}"


def _compiled(group_by: str, rows: Sequence[Row]) -> regex.Pattern[str]:
    try:
        pattern = regex.compile(group_by)
    except regex.error as error:
        raise UsageError(f"split.group_by {group_by} is no regular expression: {error}") from error
    if pattern.groups != 1:
        columns = sorted({name for row in rows for name in row.columns})
        raise UsageError(
            f"split.group_by {group_by} is no manifest column and no regular expression with one capture",
            closest(group_by, columns) or r"For example --group-by '(sub-\d+)'.",
        )
    return pattern
