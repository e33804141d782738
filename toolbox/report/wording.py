"""Numbers and sentences as every view of a report writes them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

from toolbox.api.evaluator import Metric
from toolbox.files.names import printable
from toolbox.report.inputs import RunView
from toolbox.runs.evaluation import EvaluationRecord

UNDEFINED = "–"
UNDEFINED_MEANING = "not defined (the precision of a class that was never predicted, say)"

HEADLINE = "accuracy"
COLUMNS = ("accuracy", "precision", "recall", "specificity", "f1", "auc")
"""Metrics that the table of results has columns for, as far as any run has them."""

NBSP = "\N{NO-BREAK SPACE}"
_LABELS = {"f1": "F1", "auc": "AUC"}


def shorten(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters on one line, its middle left out where it is longer."""
    text = " ".join(printable(text).split())
    if len(text) <= limit:
        return text
    tail = (limit - 1) * 2 // 5  # an ending (a file's number, an AUC) often tells more than the middle
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :] if tail else ''}"


def number(value: object) -> str:
    """A table's cell: integers with thousands separators, other numbers to three decimals, text as it is."""
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if isinstance(value, numbers.Real):
        return _real(float(value))
    return str(value)


def count_or_number(value: float | None) -> str:
    """``1,200`` for a whole number, three decimals for any other."""
    return f"{value:,.0f}" if value is not None and float(value).is_integer() else number(value)


def _real(value: float) -> str:
    if not math.isfinite(value):
        return UNDEFINED
    if value and not 0.0005 <= abs(value) < 1e6:
        return f"{value:.2e}"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.1f}"


def interval(metric: Metric) -> str:
    """``0.915–0.990``, or nothing where the metric has no interval."""
    if not has_interval(metric):
        return ""
    low, high = number(metric.low), number(metric.high)
    return f"{low} to {high}" if low.startswith("-") else f"{low}–{high}"


def has_interval(metric: Metric) -> bool:
    """Whether value and both ends are there and finite."""
    return all(end is not None and math.isfinite(end) for end in (metric.value, metric.low, metric.high))


def with_interval(metric: Metric) -> str:
    """``0.970 (0.915–0.990)``."""
    ends = interval(metric)
    return f"{number(metric.value)} ({ends})" if ends else number(metric.value)


def metric_of(run: RunView, key: str) -> Metric | None:
    """The run's metric of that name, if it has a defined value."""
    metric = run.evaluation.metrics.get(key)
    return metric if metric and metric.value is not None and math.isfinite(metric.value) else None


def leakage_sentence(evaluation: EvaluationRecord) -> str:
    """What the leak was worth in accuracy; empty where no image leaked, or that is unknown."""
    parts, metric = evaluation.leakage, evaluation.metrics.get(HEADLINE)
    if parts is None or metric is None:
        return ""
    clean = parts.clean.metrics.get(HEADLINE)
    leaked = f"{parts.leaked.n:,} of {counted(evaluation.n, 'image')} leaked"
    if clean is None or metric.value is None or clean.value is None:
        return f"{leaked}, so no figure here says how the model does on new images"
    return (
        f"{leaked}: {HEADLINE} is {number(metric.value)} on all of them and {with_interval(clean)} on the"
        f" {parts.clean.n:,} clean ones, so the leak was worth {signed(metric.value - clean.value, share=True)} points"
    )


def result_columns(runs: Sequence[RunView]) -> tuple[tuple[str, str], ...]:
    """Key and heading of the metrics for the table of results: the usual six, else the first six there are."""
    labels: dict[str, str] = {}
    for run in runs:
        for key, metric in run.evaluation.metrics.items():
            labels.setdefault(key, metric.label)
    keys = [key for key in COLUMNS if key in labels] or list(labels)[: len(COLUMNS)]
    return tuple((key, metric_label(key, labels[key])) for key in keys)


def metric_label(key: str, label: str = "") -> str:
    """How a metric is called for people: its own label, else its key made readable."""
    return label or _LABELS.get(key) or key.replace("_", " ")


def run_name(run: RunView) -> str:
    """The run's id, with its model where the id doesn't name it: ``003-resnet50``, ``resnet50 (run 3f2a)``."""
    model = run.record.model
    return run.id if model.casefold() in run.id.casefold() else f"{model} (run {run.id})"


def listing(items: Sequence[str], limit: int = 4) -> str:
    """``a, b and c``; from ``limit`` on the rest as a number."""
    shown = list(items)
    if len(shown) > limit:
        shown = [*shown[: limit - 1], f"{len(shown) - limit + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def counted(n: int, noun: str) -> str:
    """``1 run``, ``1,200 runs``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def likeliest_pairs(n: int) -> str:
    """Of the pairs that may be near-duplicates those that were compared by their pixels."""
    return (
        "no pair was alike enough to be" if n == 0 else "the likeliest pair" if n == 1 else f"the {n:,} likeliest pairs"
    )


def p_text(p: float) -> str:
    """``.02``, ``< .001``: a table's p-value."""
    from toolbox.statistics.wording import format_p_value

    return format_p_value(p).removeprefix("p ").removeprefix("= ")


def signed(value: float | None, share: bool) -> str:
    """A difference with its sign: percentage points of a share, three decimals of anything else."""
    from toolbox.statistics.wording import format_signed

    return UNDEFINED if value is None or not math.isfinite(value) else format_signed(value, share)
