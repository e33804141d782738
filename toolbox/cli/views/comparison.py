"""What ``toolbox compare`` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from toolbox.cli.views.report import differences
from toolbox.cli.views.tables import table
from toolbox.evaluation.compare import Arm, ComparisonResult
from toolbox.report.wording import number
from toolbox.statistics.scores import METRICS


def comparison_result(result: ComparisonResult) -> list[RenderableType]:
    """The arms, every difference with its interval, the notes, and the verdict with its scope last."""
    return [
        Text(f"{result.n:,} images of the {result.split} split, the same for every run", "bold"),
        *_arms(result.arms),
        "",
        differences(result),
        *(Text(f"note: {text}", "yellow") for text in result.notes),
        Text(result.words, "bold green" if result.winner else "bold"),
        *([Text(result.deciding.scope_words)] if result.deciding else []),
    ]


def _arms(arms: Sequence[Arm]) -> list[RenderableType]:
    """The runs behind each letter, and below them their metrics: one table would be wider than 80 columns."""
    several = any(len(arm.runs) > 1 for arm in arms)
    in_name = all(run.record.model.casefold() in run.id.casefold() for arm in arms for run in arm.runs)
    names = table("", "runs", *([] if in_name else ["model"]), *(["seeds"] if several else []))
    metrics = list(arms[0].values)
    values = table("", *(METRICS[name].label for name in metrics), right=tuple(range(1, len(metrics) + 1)))
    for column in (*names.columns, *values.columns):
        column.overflow = "fold"
    for arm in arms:
        ids = [run.id for run in arm.runs]
        runs = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
        model = [] if in_name else [Text(arm.runs[0].record.model)]
        seeds = [", ".join(str(run.record.seed) for run in arm.runs)] if several else []
        names.add_row(arm.letter, Text(runs), *model, *seeds)
        values.add_row(arm.letter, *(_mean(arm, name) for name in metrics))
    return [names, "", values]


def _mean(arm: Arm, metric: str) -> str:
    deviation = arm.sd(metric)
    return number(arm.mean(metric)) + ("" if deviation is None else f" ± {number(deviation)}")
