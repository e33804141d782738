"""What a dataset holds, in figures."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

from toolbox.data.index import Index
from toolbox.data.source import Source


def summary(found: Index, source: Source) -> dict[str, Any]:
    """Counts by class and split, sizes, modes, groups, duplicates, notes, and what could not be read."""
    rows = found.manifest.rows
    widths, heights = [row.width for row in rows], [row.height for row in rows]
    by_class = Counter(row.label for row in rows)
    copies = Counter(row.pixels for row in rows)
    return {
        "data": source.spec,
        "note": source.dataset.note,
        "images": len(rows),
        "classes": {label: by_class[label] for label in found.manifest.classes},
        "counts": found.manifest.counts(),
        "groups": len({row.group for row in rows if row.group}),
        "width": {"min": min(widths), "median": median(widths), "max": max(widths)},
        "height": {"min": min(heights), "median": median(heights), "max": max(heights)},
        "modes": dict(sorted(Counter(found.modes).items())),
        "identical": sum(count - 1 for count in copies.values() if count > 1),
        "notes": [{"path": path, "note": note} for path, note in found.notes],
        "quarantined": [{"path": item.path, "reason": item.reason} for item in found.quarantined],
    }
