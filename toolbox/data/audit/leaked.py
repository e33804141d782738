"""Which samples have a relative that training saw: for each of them, the kind of leak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from toolbox.data.audit.findings import KINDS
from toolbox.data.audit.near import ImageComparison
from toolbox.data.manifest import SPLITS, Manifest, Row


def find_leaked(rows: Sequence[Row], originals: Manifest, comparison: ImageComparison | None) -> dict[str, str]:
    """The samples of ``rows``, by id, with a relative in an earlier split (train before val before test).

    Each with its kind of leak, the first of :data:`toolbox.data.audit.findings.KINDS`. ``rows`` are those of
    ``originals`` or copies of them (with a ``source`` among their columns), which share the relatives of their source.
    ``comparison``: near-duplicates among the originals, where the pictures were compared.
    """
    by_id = {row.id: row for row in originals.rows}
    near: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in comparison.pairs if comparison else ():
        if pair.kind == "near-duplicate":
            for name in (pair.first, pair.second):
                near[_picture(by_id[name])].append(("near-duplicate", f"{pair.first}\n{pair.second}"))
    families: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        source = row.columns.get("source", "")
        origin = by_id.get(source, row)
        families["copies-of-one-source" if source else "identical-pixels", _picture(origin)].append(row)
        if origin.group:
            families["divided-group", origin.group].append(row)
        for pair_key in near[_picture(origin)]:
            families[pair_key].append(row)
    order = list(KINDS)
    leaked: dict[str, str] = {}
    for (kind, _), family in sorted(families.items(), key=lambda item: order.index(item[0][0])):
        first = min(SPLITS.index(row.split) for row in family)
        leaked |= {row.id: kind for row in family if SPLITS.index(row.split) > first and row.id not in leaked}
    return leaked


def _picture(row: Row) -> str:
    """What identifies a picture: its pixels, or where these are unknown its sample."""
    return row.pixels or f"unknown {row.id}"
