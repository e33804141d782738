"""The runs of a report against each other: which can be compared, what the statistics say, and what was refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolbox.errors import ToolboxError
from toolbox.evaluation.compare import SHOWN, compare, paired
from toolbox.plugin.protocols import Metric
from toolbox.report.inputs import ArmView, ComparisonView, Verdict
from toolbox.runs import Run

ALL_METRICS = 4
"""Arms up to which they are compared by every metric; more by the deciding one alone: pairs grow with the square."""


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
    from toolbox.evaluation.compare import arms_of

    few = len(arms_of(members)) <= ALL_METRICS
    document = compare(members, SHOWN if few else SHOWN[:1])
    metric = document["metric"]
    named = {arm["name"]: _name(arm) for arm in document["arms"]}
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
        notes=document["notes"],
    )


def _name(arm: Mapping[str, Any]) -> str:
    if len(arm["runs"]) == 1:
        return str(arm["runs"][0])
    return f"{arm['model']} on {arm['train_on']}, {len(arm['runs'])} seeds (arm {arm['name'].upper()})"


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
