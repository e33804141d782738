"""The runs of a report against each other: which can be compared, what the statistics say, and what was refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolbox.api.errors import ToolboxError
from toolbox.api.evaluator import Metric
from toolbox.evaluation.compare import SHOWN, Arm, arms_of, compare, paired
from toolbox.report.inputs import ArmView, ComparisonView, Verdict
from toolbox.runs.folder import Run

ALL_METRICS = 4
"""Arms up to which they are compared by every metric; more by the deciding one alone: pairs grow with the square."""

DIFFERENCES, MARKS = 6, 2
"""Settings that are told where arms differ in more; those that an arm is named by."""

NO_DIFFERENCE = ("seed", "device", "threads", "evaluators", "training.train_on")
"""Settings that don't tell arms apart, or that are told by another name."""


def comparisons(chosen: Sequence[Run]) -> tuple[list[ComparisonView], list[str]]:
    """Every set of ``chosen`` that was tested on the same images, compared; and why others were not."""
    found, refused = [], []
    sets, reasons = _comparable(chosen)
    for members in sets:
        try:
            found += [_view(members)] if len(members) > 1 else []
        except ToolboxError as error:
            refused.append(f"{members[0].id} and {len(members) - 1} more: {error}")
    return found, [*reasons, *refused]


def _comparable(chosen: Sequence[Run]) -> tuple[list[list[Run]], list[str]]:
    """Runs by the images that they were tested on, and why each new set had to be begun."""
    sets: list[list[Run]] = []
    reasons: list[str] = []
    for run in chosen:
        why = ""
        for members in sets:
            try:
                paired(members[0], run)
                members.append(run)
                break
            except ToolboxError as error:
                why = why or str(error)
        else:
            sets.append([run])
            reasons += [why] if why else []
    return sets, reasons


def _view(members: Sequence[Run]) -> ComparisonView:
    arms = arms_of(members)
    document = compare(members, SHOWN if len(arms) <= ALL_METRICS else SHOWN[:1])
    metric, differing = document["metric"], _differing(arms)
    named = {arm.letter.lower(): _name(arm, at, differing) for at, arm in enumerate(arms)}
    told = [f"{what} ({_listed(values)})" for what, values in differing.items()]
    return ComparisonView(
        metric=metric,
        n=document["n"],
        arms=[
            ArmView(
                letter=arm["name"].upper(),
                name=named[arm["name"]],
                runs=arm["runs"],
                value=arm["metrics"][metric]["mean"],
                sd=arm["metrics"][metric]["sd"],
            )
            for arm in document["arms"]
        ],
        verdicts=[_verdict(each, named) for each in document["comparisons"]],
        notes=[*([f"what differs: {'; '.join(told[:DIFFERENCES])}"] if told else []), *document["notes"]],
    )


def _differing(arms: Sequence[Arm]) -> dict[str, list[str]]:
    """What is not the same in every arm, with each arm's value."""
    known = [_described(arm.runs[0]) for arm in arms]
    names = dict.fromkeys(name for each in known for name in each)
    values = {name: [each.get(name, "–") for each in known] for name in names}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def _described(run: Run) -> dict[str, str]:
    record = run.record
    told = {"model": record.model, "trained on": record.train_on, "weights": record.weights}
    told["augmented set"] = record.augmented_set or "–"
    settings = {name: str(value) for name, value in run.record.setting_values.items() if name not in NO_DIFFERENCE}
    return {**told, **settings}


def _name(arm: Arm, at: int, differing: Mapping[str, Sequence[str]]) -> str:
    """A run by its id; several by their model, and what tells them from the other arms."""
    if len(arm.runs) == 1:
        return arm.runs[0].id
    marks = [f"{what} {values[at]}" for what, values in differing.items() if what != "model"]
    return ", ".join([arm.runs[0].record.model, *marks[:MARKS], f"{len(arm.runs)} seeds (arm {arm.letter})"])


def _listed(values: Sequence[str]) -> str:
    shown = list(dict.fromkeys(values))
    return ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "")


def _verdict(found: Mapping[str, Any], named: Mapping[str, str]) -> Verdict:
    from toolbox.statistics.scores import METRICS

    info, ends = METRICS[found["metric"]], found["difference"]
    holm = found["p_value_holm"] is not None
    return Verdict(
        metric=found["metric"],
        label=info.label,
        share=info.share and found["metric"] != "auc",
        a=found["a"].upper(),
        b=found["b"].upper(),
        difference=Metric(ends["value"], ends["low"], ends["high"], ends["method"]),
        p_value=found["p_value_holm"] if holm else found["p_value"],
        holm=holm,
        test=found["test"],
        winner="" if found["verdict"] == "not distinguishable" else found["verdict"].upper(),
        words=_words(found["words"], named),
        needed=found["needed"],
    )


def _words(text: str, named: Mapping[str, str]) -> str:
    """The sentence with arms called as the report calls them: ``B (002-resnet50) is better`` begins with the run."""
    match = re.match(r"([A-Z]) \(.*?\) is better", text)
    return f"{named[match[1].lower()]} is better{text[match.end() :]}" if match else text
