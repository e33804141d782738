"""What ``toolbox augment`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from toolbox.cli.views.tables import duration, gigabytes

if TYPE_CHECKING:
    from toolbox.augment.plan import AugmentPlan
    from toolbox.augment.verify import ReplayResult, VerifyResult
    from toolbox.augment.writer import AugmentResult


def result_lines(result: AugmentResult) -> list[RenderableType]:
    """How many copies were written, how fast, and where."""
    lines: list[RenderableType] = []
    if result.written:
        lines = [
            Text(
                f"Wrote {result.written:,} copies of {result.sources:,} training images to {result.path}"
                f" ({result.images_per_second:,.0f} images/s)."
            ),
            Text(f"Classes before and after: {result.path}-classes.png"),
        ]
    if result.skipped:
        lines.append(Text(f"{result.skipped:,} copies already exist in {result.path}."))
    return lines


def plan_line(plan: AugmentPlan, path: str) -> RenderableType:
    """What would be written to ``path``."""
    exists = " It already exists." if plan.exists else ""
    size, time = gigabytes(plan.bytes), duration(plan.seconds)
    return Text(f"Would write {plan.files:,} copies to {path}: about {size}, {time}.{exists}")


def verified_lines(verified: VerifyResult) -> list[RenderableType]:
    """The first files that differ from the lineage, and how many there are."""
    kinds = {"missing": verified.missing, "changed": verified.changed, "extra": verified.extra}
    return [
        *(Text(f"{kind}: {path}", "yellow") for kind, paths in kinds.items() for path in paths[:5]),
        f"{verified.files:,} files in the lineage: {len(verified.missing):,} missing, {len(verified.changed):,}"
        f" changed, {len(verified.extra):,} not in it.",
    ]


def replayed_line(replayed: ReplayResult) -> RenderableType:
    """How many files were written again, and how many of them differ."""
    return Text(
        f"Wrote {replayed.written:,} files again to {replayed.path}: {len(replayed.different):,} differ from the"
        f" lineage, {len(replayed.lost):,} have no source in the data."
    )
