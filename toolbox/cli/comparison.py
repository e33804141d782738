"""What ``toolbox compare`` prints for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def comparison_result(document: Mapping[str, Any]) -> list[RenderableType]:
    """The arms, every difference with its interval, the notes, and the verdict last."""
    from rich.text import Text

    decided = document["verdict"] != "not distinguishable"
    return [
        Text(f"{document['n']:,} images of the {document['split']} split, the same for every run", "bold"),
        _arms(document),
        "",
        _differences(document),
        *(Text(f"note: {text}", "yellow") for text in document["notes"]),
        Text(document["words"], "bold green" if decided else "bold"),
    ]


def _arms(document: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from toolbox.statistics.scores import METRICS

    metrics = list(document["arms"][0]["metrics"])
    many = any(len(arm["runs"]) > 1 for arm in document["arms"])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "runs", "model", *(["seeds"] if many else [])):
        table.add_column(heading)
    for name in metrics:
        table.add_column(METRICS[name].label, justify="right")
    for arm in document["arms"]:
        runs = ", ".join(arm["runs"][:3]) + (f" and {len(arm['runs']) - 3} more" if len(arm["runs"]) > 3 else "")
        seeds = [", ".join(map(str, arm["seeds"]))] if many else []
        values = [_spread(arm["metrics"][name]) for name in metrics]
        table.add_row(arm["name"].upper(), Text(runs), Text(arm["model"]), *seeds, *values)
    return table


def _spread(found: Mapping[str, Any]) -> str:
    from toolbox.report.wording import number

    if found["sd"] is None:
        return number(found["mean"])
    return f"{number(found['mean'])} ± {number(found['sd'])}"


def _differences(document: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table

    from toolbox.report.wording import number
    from toolbox.statistics.scores import METRICS
    from toolbox.statistics.wording import p_value

    table = Table("metric", "difference", box=None, pad_edge=False, header_style="bold")
    for heading in ("value", "95 % interval", "p", "better"):
        table.add_column(heading, justify="left" if heading == "better" else "right", no_wrap=True)
    table.add_column("by", style="dim", overflow="fold")
    for found in document["comparisons"]:
        ends = f"{number(found['difference']['low'])} to {number(found['difference']['high'])}"
        p = found["p_value"] if found["p_value_holm"] is None else found["p_value_holm"]
        better = "–" if found["verdict"] == "not distinguishable" else found["verdict"].upper()
        label = METRICS[found["metric"]].label
        names = f"{found['b'].upper()} − {found['a'].upper()}"
        by = found["test"] + (", Holm" if found["p_value_holm"] is not None else "")
        table.add_row(label, names, number(found["difference"]["value"]), ends, p_value(p)[2:].strip(" ="), better, by)
    return table
