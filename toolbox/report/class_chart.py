"""How many files each class has before and after augmentation, as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolbox.api.evaluator import Figure, Series
from toolbox.data.manifest import Row
from toolbox.files.atomic import write_bytes
from toolbox.report.figures import to_png
from toolbox.report.plots import Plot


def write_class_chart(rows: Sequence[Row], files: Mapping[str, int], path: Path) -> None:
    """Draw the classes of ``rows``, and of their ``files`` (how many each has, by id), into a PNG at ``path``.

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: it can't be written.
    """
    before = Counter(row.label for row in rows)
    after: Counter[str] = Counter()
    for row in rows:
        after[row.label] += files[row.id]
    labels = sorted(before)
    series = [Series(name, labels, [counts[label] for label in labels]) for name, counts in _both(before, after)]
    words = "; ".join(f"{label}: {before[label]:,} before, {after[label]:,} after" for label in labels)
    figure = Figure(
        name="classes",
        title="Images by class, before and after augmentation",
        kind="bars",
        alt=f"Images by class: {words}.",
        x_label="images",
        series=series,
    )
    write_bytes(path, to_png(Plot(figure)))


def _both(before: Counter[str], after: Counter[str]) -> list[tuple[str, Counter[str]]]:
    return [("before", before), ("after", after)]
