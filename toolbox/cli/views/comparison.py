"""What ``toolbox compare`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from toolbox.cli.views.tables import table
from toolbox.report.tables import TESTS
from toolbox.report.wording import number, p_text, signed
from toolbox.statistics.scores import METRICS


def comparison_result(document: Mapping[str, Any]) -> list[RenderableType]:
    """The arms, every difference with its interval, the notes, and the verdict last."""
    decided = document["verdict"] != "not distinguishable"
    return [
        Text(f"{document['n']:,} images of the {document['split']} split, the same for every run", "bold"),
        *_arms(document["arms"]),
        "",
        _differences(document),
        *(Text(f"note: {text}", "yellow") for text in document["notes"]),
        Text(document["words"], "bold green" if decided else "bold"),
    ]


def _arms(arms: list[Mapping[str, Any]]) -> list[RenderableType]:
    """The runs behind each letter, and below them their metrics: one table would be wider than 80 columns."""
    several = any(len(arm["runs"]) > 1 for arm in arms)
    in_name = all(arm["model"].casefold() in run.casefold() for arm in arms for run in arm["runs"])
    names = table("", "runs", *([] if in_name else ["model"]), *(["seeds"] if several else []))
    metrics = list(arms[0]["metrics"])
    values = table("", *(METRICS[name].label for name in metrics), right=tuple(range(1, len(metrics) + 1)))
    for column in (*names.columns, *values.columns):
        column.overflow = "fold"
    for arm in arms:
        runs = ", ".join(arm["runs"][:3]) + (f" and {len(arm['runs']) - 3} more" if len(arm["runs"]) > 3 else "")
        model = [] if in_name else [Text(arm["model"])]
        seeds = [", ".join(map(str, arm["seeds"]))] if several else []
        names.add_row(arm["name"].upper(), Text(runs), *model, *seeds)
        values.add_row(arm["name"].upper(), *(_mean(arm["metrics"][name]) for name in metrics))
    return [names, "", values]


def _mean(metric: Mapping[str, Any]) -> str:
    deviation = "" if metric["sd"] is None else f" ± {number(metric['sd'])}"
    return f"{number(metric['mean'])}{deviation}"


def _differences(document: Mapping[str, Any]) -> RenderableType:
    """A line for each difference, at most 80 columns wide."""
    several = len(document["arms"]) > 2
    holm = any(item["p_value_holm"] is not None for item in document["comparisons"])
    headings = [
        "metric",
        *(["arms", "difference"] if several else ["B − A"]),
        "95 % interval",
        "p (Holm)" if holm else "p",
    ]
    rows = table(*headings, "better", "test", right=tuple(range(2 if several else 1, len(headings))))
    for column in rows.columns[1:-1]:
        column.no_wrap = True
    rows.columns[-1].overflow, rows.columns[-1].style = "fold", "dim"
    for item in document["comparisons"]:
        info, difference = METRICS[item["metric"]], item["difference"]
        share = info.share and item["metric"] != "auc"
        p = item["p_value"] if item["p_value_holm"] is None else item["p_value_holm"]
        arms = [f"{item['b'].upper()} − {item['a'].upper()}"] if several else []
        value = signed(difference["value"], share) + (" pts" if share else "")
        interval = f"{signed(difference['low'], share)} to {signed(difference['high'], share)}"
        better = "–" if item["verdict"] == "not distinguishable" else item["verdict"].upper()
        test = Text(TESTS.get(item["test"], item["test"]))
        rows.add_row(info.label, *arms, value, interval, p_text(p), better, test)
    return rows
