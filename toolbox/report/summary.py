"""A report in two sentences, and its caveats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolbox.api.evaluator import Metric
from toolbox.report.inputs import ReportInputs, RunView
from toolbox.report.wording import (
    HEADLINE,
    NBSP,
    counted,
    has_interval,
    interval,
    leakage_sentence,
    listing,
    metric_of,
    number,
    run_name,
)

if TYPE_CHECKING:
    from toolbox.evaluation.compare import Arm, ComparisonResult

SYNTHETIC = "The images are made by a program; figures from them say nothing about real images."


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


def summarize(inputs: ReportInputs) -> Summary:
    """The report in two sentences, with its caveats.

    A best run is named among runs that were evaluated on the same held-out samples without a leak. The second sentence
    is the verdict of the comparison: where that finds no difference, no winner is called.
    """
    return Summary(*_sentences(inputs), tuple(_caveats(inputs)))


def _sentences(inputs: ReportInputs) -> tuple[str, str]:
    if not inputs.runs:
        return "There are no runs yet.", "This report describes the data alone."
    scored = sorted((run for run in inputs.runs if metric_of(run, HEADLINE)), key=_score, reverse=True)
    if not scored:
        text = f"None of the runs ({len(inputs.runs)}) has" if len(inputs.runs) > 1 else "The run does not have"
        return f"{text} an accuracy yet.", "Run “toolbox evaluate” to see how a model does on held-out images."
    fair = [run for run in scored if run.is_fair]
    if not fair:
        worth = leakage_sentence(scored[0].evaluation)
        return (
            "No run was evaluated on a held-out split without a leak, so no figure here says how a model does on "
            "new images.",
            f"The highest accuracy is that of {run_name(scored[0])} on the {scored[0].evaluation.split} split: "
            f"{_value(scored[0])}.{f' Of these images, {worth}.' if worth else ''}",
        )
    best, split = fair[0], fair[0].evaluation.split
    if len(fair) == 1:
        metric = metric_of(best, HEADLINE) or Metric(None)
        return (
            f"{run_name(best)} reached an {HEADLINE} of {_value(best)} on the held-out {split} split.",
            "The interval covers the choice of these images only: one run says nothing about another seed or another "
            "split."
            if has_interval(metric)
            else "It has no interval, so how far chance moves this figure is open.",
        )
    comparison = _comparison_of(inputs, fair)
    if comparison is None:
        return (
            f"The highest accuracy on held-out images is that of {run_name(best)} on the {split} split: "
            f"{_value(best)}.",
            "The runs were not all compared on the same images, so no winner is called.",
        )
    return _ranking(comparison, [run for run in fair if comparison.arm_of(run.id)])


def _comparison_of(inputs: ReportInputs, fair: Sequence[RunView]) -> ComparisonResult | None:
    """The comparison by accuracy that covers the most ``fair`` runs, two at least."""

    def covered(comparison: ComparisonResult) -> int:
        return sum(comparison.arm_of(run.id) is not None for run in fair)

    by_accuracy = [each for each in inputs.comparisons if each.metric == HEADLINE and covered(each) > 1]
    return max(by_accuracy, key=covered, default=None)


def _ranking(comparison: ComparisonResult, fair: Sequence[RunView]) -> tuple[str, str]:
    """The best of ``fair`` runs (the best first) or, where an arm has several, of their arms; and the verdict."""
    arms = dict.fromkeys(arm.letter for run in fair if (arm := comparison.arm_of(run.id)))
    ranked = [comparison.arm(letter) for letter in arms]
    if all(len(arm.runs) == 1 for arm in comparison.arms):
        names = {arm.letter: run_name(run) for arm, run in zip(ranked, fair, strict=True)}
        level = [run_name(run) for run in fair if _score(run) == _score(fair[0])]
        best = f"{listing(level)} share" if len(level) > 1 else f"Of {len(fair)} runs, {level[0]} has"
        finding = f"{best} the highest {HEADLINE} on the held-out {fair[0].evaluation.split} split: {_value(fair[0])}."
    else:
        ranked = [arm for arm in comparison.ranked if arm in ranked]
        names = {arm.letter: arm.name for arm in ranked}
        mean = _mean(ranked[0], comparison.n)
        if len(ranked) == 1:
            return (
                f"{len(fair)} runs of {ranked[0].name} reached a mean {HEADLINE} of {mean}.",
                "They differ in their seed alone, so there is nothing to compare.",
            )
        of = f"Of {len(fair)} runs in {len(ranked)} arms"
        finding = f"{of}, {ranked[0].name} has the highest mean {HEADLINE}: {mean}."
    return finding, _verdict(comparison, [arm.letter for arm in ranked], names)


def _verdict(comparison: ComparisonResult, ranked: Sequence[str], names: dict[str, str]) -> str:
    """Whether the first of ``ranked`` (letters, the best first) is better than the others, in a sentence."""
    best, second = ranked[:2]
    verdicts = {other: verdict for other in ranked[1:] if (verdict := comparison.between(best, other))}
    deciding = verdicts.get(second)
    if deciding is None:
        return "They could not be compared by this metric, so no winner is called."
    unbeaten = [other for other, verdict in verdicts.items() if verdict.winner != best]
    if len(ranked) == 2:
        start, subject = "Paired image by image, ", "the two are "
    elif not unbeaten:
        start, subject = "It is better than each of the others; against the next best, ", ""
    elif len(unbeaten) == len(verdicts):
        start, subject = f"Paired image by image with the next best, {names[second]}, ", "it is "
    else:
        others = listing([names[other] for other in unbeaten])
        start, subject = f"It can't be told apart from {others}; against the next best, {names[second]}, ", "it is "
    return f"{start}{'' if deciding.winner else subject}{deciding.words}. {deciding.scope_words}"


def _score(run: RunView) -> float:
    metric = metric_of(run, HEADLINE)
    return -1.0 if metric is None or metric.value is None else metric.value


def _value(run: RunView) -> str:
    metric = metric_of(run, HEADLINE) or Metric(None)
    ends = f"95{NBSP}% interval {interval(metric)}, " if has_interval(metric) else ""
    return f"{number(metric.value)} ({ends}n{NBSP}={NBSP}{run.evaluation.n:,})"


def _mean(arm: Arm, n: int) -> str:
    sd = arm.sd(HEADLINE)
    spread = f", standard deviation {number(sd)} between seeds" if sd is not None else ""
    return f"{number(arm.mean(HEADLINE))} ({counted(len(arm.runs), 'run')} on {n:,} images{spread})"


def _caveats(inputs: ReportInputs) -> list[Caveat]:
    note = inputs.data.note.strip() if inputs.data else ""
    caveats = [_data_caveat(note)] if note else []
    fair = [run for run in inputs.runs if run.is_fair and metric_of(run, HEADLINE)]
    comparison = _comparison_of(inputs, fair)
    unranked = [run for run in fair if comparison and comparison.arm_of(run.id) is None]
    for title, runs, text in (
        (
            "Leaky",
            [run for run in inputs.runs if run.record.leaky],
            "Relatives of the evaluated images were trained on, which inflates every figure of {runs}.",
        ),
        (
            "Not held out",
            [run for run in inputs.runs if not run.evaluation.held_out],
            "{runs}: evaluated on images that were used in training.",
        ),
        (
            "Random weights",
            [run for run in inputs.runs if run.random_weights],
            "{runs}: training began from random weights, not from pretrained ones.",
        ),
        (
            "Tested on other images",
            unranked,
            "{runs}: not ranked with the other runs, which were all tested on the same images.",
        ),
    ):
        if runs:
            named = "all runs" if len(runs) == len(inputs.runs) > 1 else listing([run_name(run) for run in runs])
            text = text.format(runs=named)
            caveats.append(Caveat(title, text[0].upper() + text[1:]))
    return caveats


def _data_caveat(note: str) -> Caveat:
    title = "Synthetic data" if "synthetic" in note.casefold() else "About the data"
    text = re.sub(r"^synthetic:\s*", "", note, flags=re.IGNORECASE)  # the title says it
    return Caveat(title, SYNTHETIC if note.casefold() == "synthetic" else text[:1].upper() + text[1:])
