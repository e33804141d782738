"""Numbers and sentences as every view of a report writes them."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass

from toolbox.plugin.protocols import Metric
from toolbox.report.inputs import DataView, ReportInputs, RunView

UNDEFINED = "–"
UNDEFINED_MEANING = "not defined (the precision of a class that was never predicted, say)"

HEADLINE = "accuracy"
COLUMNS = ("accuracy", "precision", "recall", "specificity", "f1", "auc")
"""Metrics that the table of results has columns for, as far as any run has them."""

_NBSP = "\N{NO-BREAK SPACE}"
_LABELS = {"f1": "F1", "auc": "AUC"}
# XML knows no control characters, UTF-8 no lone surrogates (file names that were not UTF-8 hold them), and a
# terminal obeys the former.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """``text`` with what can't be written in HTML, SVG or on a terminal replaced by U+FFFD."""
    return _UNWRITABLE.sub("\ufffd", text)


def shorten(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters on one line, its middle left out where it is longer."""
    text = " ".join(clean(text).split())
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
    metric = run.evaluation.metrics.get(key) if run.evaluation else None
    return metric if metric and metric.value is not None and math.isfinite(metric.value) else None


def result_columns(runs: Sequence[RunView]) -> tuple[tuple[str, str], ...]:
    """Key and heading of the metrics for the table of results: the usual six, else the first six there are."""
    labels: dict[str, str] = {}
    for run in runs:
        for key, metric in run.evaluation.metrics.items() if run.evaluation else ():
            labels.setdefault(key, metric.label)
    keys = [key for key in COLUMNS if key in labels] or list(labels)[: len(COLUMNS)]
    return tuple((key, metric_label(key, labels[key])) for key in keys)


def metric_label(key: str, label: str = "") -> str:
    """How a metric is called for people: its own label, else its key made readable."""
    return label or _LABELS.get(key) or key.replace("_", " ")


def run_name(run: RunView) -> str:
    """The run's id, with its model where the id doesn't name it: ``003-resnet50``, ``resnet50 (run 3f2a)``."""
    return run.id if run.model.casefold() in run.id.casefold() else f"{run.model} (run {run.id})"


def listing(items: Sequence[str], limit: int = 4) -> str:
    """``a, b and c``; from ``limit`` on the rest as a number."""
    shown = list(items)
    if len(shown) > limit:
        shown = [*shown[: limit - 1], f"{len(shown) - limit + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def counted(n: int, noun: str) -> str:
    """``1 run``, ``1,200 runs``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Caveat:
    """What a reader must know before believing a figure."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Two sentences, and what speaks against them."""

    finding: str
    limits: str
    caveats: tuple[Caveat, ...]


def summarise(inputs: ReportInputs) -> Summary:
    """The report in two sentences, with its caveats.

    A best run is named among runs that were evaluated on the same held-out samples without a leak; that its
    interval overlaps with others' is said, and then no winner is called.
    """
    finding, limits = _sentences(inputs.runs)
    return Summary(finding, limits, tuple(_caveats(inputs.runs, inputs.data)))


def _sentences(runs: Sequence[RunView]) -> tuple[str, str]:
    scored = [(run, metric) for run in runs if (metric := metric_of(run, HEADLINE))]
    if not runs:
        return "No run has been made yet.", "This report describes the data alone."
    if not scored:
        text = f"None of the runs ({len(runs)}) has an accuracy yet." if len(runs) > 1 else "The run has no accuracy."
        return text, "Evaluate with “toolbox evaluate” to see how a model does on held-out images."
    fair = [(run, metric) for run, metric in scored if run.held_out and not run.leaky]
    if not fair:
        run, metric = max(scored, key=_score)
        return (
            "No run was evaluated on a held-out split without a leak, so no figure here says how a model does on "
            "new images.",
            f"The highest accuracy is that of {run_name(run)} on the {run.split} split: {_said(metric, run.n)}.",
        )
    if len(fair) == 1:
        return _one(*fair[0])
    if len({(run.split, run.n) for run, _ in fair}) > 1:
        run, metric = max(fair, key=_score)
        return (
            f"The highest accuracy on held-out images is that of {run_name(run)} on the {run.split} split: "
            f"{_said(metric, run.n)}.",
            "The runs were evaluated on different images, so they can't be ranked against each other.",
        )
    return _several(fair)


def _one(run: RunView, metric: Metric) -> tuple[str, str]:
    return (
        f"{run_name(run)} reached an {HEADLINE} of {_said(metric, run.n)} on the held-out {run.split} split.",
        "The interval covers the choice of these images only: one run says nothing about another seed or another split."
        if has_interval(metric)
        else "No interval is known for it, so how far chance moves this figure is open.",
    )


def _several(fair: Sequence[tuple[RunView, Metric]]) -> tuple[str, str]:
    ranked = sorted(fair, key=_score, reverse=True)
    run, best = ranked[0]
    level = [other for other, metric in ranked if metric.value == best.value]
    if len(level) > 1:
        finding = (
            f"{listing([run_name(other) for other in level])} share the highest {HEADLINE} on the held-out "
            f"{run.split} split: {_said(best, run.n)}."
        )
    else:
        finding = (
            f"Of {len(ranked)} runs, {run_name(run)} has the highest {HEADLINE} on the held-out {run.split} split: "
            f"{_said(best, run.n)}."
        )
    return finding, _verdict(best, ranked[1:])


def _verdict(best: Metric, others: Sequence[tuple[RunView, Metric]]) -> str:
    paired = "a paired comparison on the same images (“toolbox compare”)"
    if not all(has_interval(metric) for metric in (best, *(metric for _, metric in others))):
        return f"Not every figure has an interval, so no winner is called; {paired} can say more."
    assert best.low is not None  # has_interval
    near = [run for run, metric in others if metric.high is not None and metric.high >= best.low]
    if not near:
        return f"Its interval lies above those of all the others; {paired} is still the sounder test."
    if len(near) == len(others):
        whom = "that of the other run" if len(others) == 1 else "those of all the others"
        return f"Its interval and {whom} overlap, so no winner is called; {paired} can say more."
    names = listing([run_name(run) for run in near])
    whom = "that of" if len(near) == 1 else "those of"
    return f"Its interval and {whom} {names} overlap, so no winner is called; {paired} can say more."


def _score(item: tuple[RunView, Metric]) -> float:
    value = item[1].value
    return -math.inf if value is None else value


def _said(metric: Metric, n: int) -> str:
    ends = interval(metric)
    inner = [f"95{_NBSP}% interval {ends}"] if ends else []
    return f"{number(metric.value)} ({', '.join([*inner, f'n{_NBSP}={_NBSP}{n:,}'])})"


def _data_caveat(note: str) -> Caveat:
    if note.casefold() == "synthetic":
        text = "The images are made by a program; figures from them say nothing about real images."
        return Caveat("Synthetic data", text)
    title = "Synthetic data" if "synthetic" in note.casefold() else "About the data"
    text = re.sub(r"^synthetic:\s*", "", note, flags=re.IGNORECASE)  # the title says it
    return Caveat(title, text[:1].upper() + text[1:])


def _caveats(runs: Sequence[RunView], data: DataView | None) -> list[Caveat]:
    caveats = [_data_caveat(data.note.strip())] if data and data.note.strip() else []
    evaluated = [run for run in runs if run.evaluation]
    for title, concerned, text in (
        (
            "Leaky",
            [run for run in runs if run.leaky],
            "Relatives of the evaluated images were trained on, which inflates every figure of {runs}.",
        ),
        (
            "Not held out",
            [run for run in evaluated if not run.held_out],
            "{runs}: evaluated on images that training had a part in.",
        ),
        (
            "Random weights",
            [run for run in runs if run.random_weights],
            "{runs}: training began from random weights, not from pretrained ones.",
        ),
    ):
        if concerned:
            named = "all runs" if len(concerned) == len(runs) > 1 else listing([run_name(r) for r in concerned])
            text = text.format(runs=named)
            caveats.append(Caveat(title, text[0].upper() + text[1:]))
    return caveats
