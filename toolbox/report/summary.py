"""A report in two sentences, and what speaks against them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from toolbox.api.evaluator import Metric
from toolbox.report.inputs import ArmView, ComparisonView, ReportInputs, RunView, Verdict
from toolbox.report.wording import HEADLINE, NBSP, has_interval, interval, listing, metric_of, number, run_name


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

    A best run is named among runs that were evaluated on the same held-out samples without a leak; that its
    interval overlaps with others' is said, and then no winner is called.
    """
    finding, limits = _sentences(inputs)
    return Summary(finding, limits, tuple(_caveats(inputs)))


def _sentences(inputs: ReportInputs) -> tuple[str, str]:
    runs = inputs.runs
    scored = [(run, metric) for run in runs if (metric := metric_of(run, HEADLINE))]
    if not runs:
        return "No run has been made yet.", "This report describes the data alone."
    if not scored:
        text = f"None of the runs ({len(runs)}) has an accuracy yet." if len(runs) > 1 else "The run has no accuracy."
        return text, "Evaluate with “toolbox evaluate” to see how a model does on held-out images."
    fair = [(run, metric) for run, metric in scored if _fair(run)]
    if not fair:
        run, metric = max(scored, key=_score)
        return (
            "No run was evaluated on a held-out split without a leak, so no figure here says how a model does on "
            "new images.",
            f"The highest accuracy is that of {run_name(run)} on the {run.split} split: {_said(metric, run.n)}.",
        )
    if len(fair) == 1:
        return _one(*fair[0])
    compared, held = _compared(inputs, fair)
    if compared is None:
        run, metric = max(fair, key=_score)
        return (
            f"The highest accuracy on held-out images is that of {run_name(run)} on the {run.split} split: "
            f"{_said(metric, run.n)}.",
            "The runs were not all compared on the same images, so no winner is called.",
        )
    seeds = any(len(arm.runs) > 1 for arm in compared.arms)
    return _arms(compared, held) if seeds else _several(compared, held)


def _compared(
    inputs: ReportInputs, fair: Sequence[tuple[RunView, Metric]]
) -> tuple[ComparisonView | None, list[tuple[RunView, Metric]]]:
    """The comparison by accuracy that holds the most of ``fair``, and those that it holds; two at least."""
    found: tuple[ComparisonView | None, list[tuple[RunView, Metric]]] = (None, [])
    for each in inputs.comparisons:
        held = [(run, metric) for run, metric in fair if each.arm_of(run.id) is not None]
        if each.metric == HEADLINE and len(held) > max(1, len(found[1])):
            found = each, held
    return found


def _one(run: RunView, metric: Metric) -> tuple[str, str]:
    return (
        f"{run_name(run)} reached an {HEADLINE} of {_said(metric, run.n)} on the held-out {run.split} split.",
        "The interval covers the choice of these images only: one run says nothing about another seed or another split."
        if has_interval(metric)
        else "No interval is known for it, so how far chance moves this figure is open.",
    )


def _several(compared: ComparisonView, fair: Sequence[tuple[RunView, Metric]]) -> tuple[str, str]:
    """Runs that are an arm each."""
    ranked = sorted(fair, key=_score, reverse=True)
    run, best = ranked[0]
    level = [other for other, metric in ranked if metric.value == best.value]
    where = f"the highest {HEADLINE} on the held-out {run.split} split: {_said(best, run.n)}."
    if len(level) > 1:
        finding = f"{listing([run_name(other) for other in level])} share {where}"
    else:
        finding = f"Of {len(ranked)} runs, {run_name(run)} has {where}"
    names = {arm.letter: run_name(run) for run, _ in ranked if (arm := compared.arm_of(run.id))}
    return finding, _verdict(compared, list(names), names)


def _arms(compared: ComparisonView, fair: Sequence[tuple[RunView, Metric]]) -> tuple[str, str]:
    """Runs of several seeds. Arms are ranked by their means."""
    letters = {arm.letter for run, _ in fair if (arm := compared.arm_of(run.id))}
    arms = sorted((arm for arm in compared.arms if arm.letter in letters), key=_mean, reverse=True)
    if len(arms) == 1:
        return (
            f"{len(fair)} runs of {arms[0].name} reached a mean {HEADLINE} of {_mean_said(arms[0], compared.n)}.",
            "They differ in their seed alone, so there is nothing to compare.",
        )
    finding = f"Of {len(fair)} runs in {len(arms)} arms, {arms[0].name} has the highest mean {HEADLINE}: "
    finding += f"{_mean_said(arms[0], compared.n)}."
    return finding, _verdict(compared, [arm.letter for arm in arms], {arm.letter: arm.name for arm in arms})


def _mean(arm: ArmView) -> float:
    return -math.inf if arm.value is None else arm.value


def _mean_said(arm: ArmView, n: int) -> str:
    spread = f", standard deviation {number(arm.sd)} between seeds" if arm.sd is not None else ""
    return f"{number(arm.value)} ({len(arm.runs)} run{'s' * (len(arm.runs) > 1)} on {n:,} images{spread})"


def _verdict(compared: ComparisonView, ranked: Sequence[str], names: dict[str, str]) -> str:
    """Whether the first of ``ranked`` (letters, the best first) is better than the others, in a sentence."""
    best, second, *rest = ranked
    against = [found for other in ranked[1:] if (found := compared.between(best, other))]
    deciding = compared.between(best, second)
    if deciding is None:
        return "By this metric they could not be compared, so no winner is called."
    if not rest:
        return _sentence(deciding, "Paired image by image, ", "the two are ")
    lost = [found for found in against if found.winner != best]
    if not lost:
        return _sentence(deciding, "It is better than each of the others; against the next best, ", "")
    if len(lost) == len(against):
        return _sentence(deciding, f"Paired image by image with the next best, {names[second]}, ", "it is ")
    them = listing([names[found.a if found.b == best else found.b] for found in lost])
    return _sentence(
        deciding, f"It can't be told apart from {them}; against the next best, {names[second]}, ", "it is "
    )


def _sentence(found: Verdict, before: str, subject: str) -> str:
    return f"{before}{'' if found.winner else subject}{found.words}."


def _score(item: tuple[RunView, Metric]) -> float:
    value = item[1].value
    return -math.inf if value is None else value


def _said(metric: Metric, n: int) -> str:
    ends = interval(metric)
    inner = [f"95{NBSP}% interval {ends}"] if ends else []
    return f"{number(metric.value)} ({', '.join([*inner, f'n{NBSP}={NBSP}{n:,}'])})"


def _data_caveat(note: str) -> Caveat:
    if note.casefold() == "synthetic":
        text = "The images are made by a program; figures from them say nothing about real images."
        return Caveat("Synthetic data", text)
    title = "Synthetic data" if "synthetic" in note.casefold() else "About the data"
    text = re.sub(r"^synthetic:\s*", "", note, flags=re.IGNORECASE)  # the title says it
    return Caveat(title, text[:1].upper() + text[1:])


def _caveats(inputs: ReportInputs) -> list[Caveat]:
    runs, data = inputs.runs, inputs.data
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
        (
            "Tested on other images",
            _left_out(inputs),
            "{runs}: not ranked with the other runs, which were all tested on the same images.",
        ),
    ):
        if concerned:
            named = "all runs" if len(concerned) == len(runs) > 1 else listing([run_name(r) for r in concerned])
            text = text.format(runs=named)
            caveats.append(Caveat(title, text[0].upper() + text[1:]))
    return caveats


def _left_out(inputs: ReportInputs) -> list[RunView]:
    """Fair runs that the summary's ranking does not hold."""
    fair = [(run, metric) for run in inputs.runs if _fair(run) and (metric := metric_of(run, HEADLINE))]
    compared, held = _compared(inputs, fair)
    return [run for run, _ in fair if run not in [other for other, _ in held]] if compared else []


def _fair(run: RunView) -> bool:
    return run.held_out and not run.leaky
