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
        *_arms(document),
        "",
        _differences(document),
        *(Text(f"note: {text}", "yellow") for text in document["notes"]),
        Text(document["words"], "bold green" if decided else "bold"),
    ]


def _arms(document: Mapping[str, Any]) -> list[RenderableType]:
    """Which runs each letter stands for, and below it their metrics: in one table 80 columns lose the last of them."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.statistics.scores import METRICS

    many = any(len(arm["runs"]) > 1 for arm in document["arms"])
    told = all(arm["model"].casefold() in run.casefold() for arm in document["arms"] for run in arm["runs"])
    names = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "runs", *([] if told else ["model"]), *(["seeds"] if many else [])):
        names.add_column(heading, overflow="fold")
    metrics = list(document["arms"][0]["metrics"])
    values = Table("", box=None, pad_edge=False, header_style="bold")
    for name in metrics:
        values.add_column(METRICS[name].label, justify="right", overflow="fold")
    for arm in document["arms"]:
        runs = ", ".join(arm["runs"][:3]) + (f" and {len(arm['runs']) - 3} more" if len(arm["runs"]) > 3 else "")
        model = [] if told else [Text(arm["model"])]
        seeds = [", ".join(map(str, arm["seeds"]))] if many else []
        names.add_row(arm["name"].upper(), Text(runs), *model, *seeds)
        values.add_row(arm["name"].upper(), *(_spread(arm["metrics"][name]) for name in metrics))
    return [names, "", values]


def _spread(found: Mapping[str, Any]) -> str:
    from toolbox.report.wording import number

    if found["sd"] is None:
        return number(found["mean"])
    return f"{number(found['mean'])} ± {number(found['sd'])}"


def _differences(document: Mapping[str, Any]) -> RenderableType:
    """A line for each difference; 80 columns hold it."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.report.tables import TESTS
    from toolbox.report.wording import p_text, signed
    from toolbox.statistics.scores import METRICS

    several = len(document["arms"]) > 2
    holm = any(found["p_value_holm"] is not None for found in document["comparisons"])
    table = Table("metric", box=None, pad_edge=False, header_style="bold")
    if several:
        table.add_column("arms", no_wrap=True)
    for heading in ("B − A" if not several else "difference", "95 % interval", "p (Holm)" if holm else "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    table.add_column("test", style="dim", overflow="fold")
    for found in document["comparisons"]:
        info, ends = METRICS[found["metric"]], found["difference"]
        share = info.share and found["metric"] != "auc"
        p = found["p_value"] if found["p_value_holm"] is None else found["p_value_holm"]
        better = "–" if found["verdict"] == "not distinguishable" else found["verdict"].upper()
        names = [f"{found['b'].upper()} − {found['a'].upper()}"] if several else []
        value = signed(ends["value"], share) + (" pts" if share else "")
        interval = f"{signed(ends['low'], share)} to {signed(ends['high'], share)}"
        table.add_row(
            info.label, *names, value, interval, p_text(p), better, Text(TESTS.get(found["test"], found["test"]))
        )
    return table
