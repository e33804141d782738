"""What trainings, evaluations and reports print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from toolbox.cli.views import report
from toolbox.cli.views.tables import duration, gigabytes, table
from toolbox.report.gather import run_view
from toolbox.report.wording import interval, number

if TYPE_CHECKING:
    from toolbox.report.inputs import ReportInputs
    from toolbox.runs.folder import Run

MAX_CURVES = 3
"""The largest number of runs whose curves a report also draws in the terminal."""

CURVE_LINES = 5
"""Height of such a curve."""


def run_result(run: Run, width: int) -> list[RenderableType]:
    """A finished training: its curves, its confusion matrix, its metrics with intervals, and where it is."""
    view = run_view(run)
    things = [report.learning_curves(view, width), report.confusion_matrix(view), report.results_table([view])]
    return [
        *(thing for thing in things if thing is not None),
        *_further(run.evaluation),
        *_remarks(run.evaluation),
        Text(f"Run: {run.path}"),
    ]


def training_plan(plan: Mapping[str, Any]) -> list[RenderableType]:
    """What a training would do, with its time and disk space at most."""
    return [
        Text(
            f"Would train {plan['model']} ({plan['parameters']:,} parameters, weights: {plan['weights']}) on"
            f" {plan['train_images']:,} images ({plan['train_on']}) of {plan['size']} pixels on {plan['device']}:"
        ),
        *(f"  {stage['name']}: {stage['epochs']} epoch(s) at lr {stage['lr']:g}" for stage in plan["stages"]),
        f"At most about {duration(plan['seconds'])}; up to {gigabytes(plan['bytes'])} of disk.",
    ]


def evaluation_result(document: Mapping[str, Any]) -> list[RenderableType]:
    """An evaluation's metrics with their intervals."""
    from toolbox.api.evaluator import Metric

    rows = table("metric", "value", "95 % interval", "by")
    for name, metric in document["metrics"].items():
        found = Metric(**metric)
        rows.add_row(Text(found.label or name), number(found.value), interval(found), Text(found.method, "dim"))
    where = document["external"] or f"the {document['split']} split"
    head = Text(f"{document['run']} ({document['model']}) on {document['n']} images of {where}", "bold")
    return [head, rows, *_further(document), *_remarks(document)]


def _further(document: Mapping[str, Any]) -> list[RenderableType]:
    """Brief tables, and where pictures are."""
    things: list[RenderableType] = []
    for found in document["tables"]:
        if found.get("brief"):
            rows = table(*map(escape, found["columns"]))
            for row in found["rows"]:
                rows.add_row(*(Text(number(value)) for value in row))
            things += ["", Text(found["title"], "bold"), rows]
    pictures = [picture for gallery in document.get("galleries", []) for picture in gallery["pictures"]]
    if pictures:
        titles = ", ".join(gallery["title"].lower() for gallery in document["galleries"])
        text = f"{len(pictures):,} pictures in {document['path']}/figures ({titles}); 'toolbox report' shows them"
        things += ["", Text(text)]
    return things


def runs_table(runs: Sequence[Run]) -> list[RenderableType]:
    """The runs' metrics side by side."""
    return [report.results_table([run_view(run) for run in runs])]


def report_result(inputs: ReportInputs, width: int) -> list[RenderableType]:
    """A report's runs side by side, with their curves where they are few, what differs, and the verdict."""
    things: list[RenderableType] = [report.results_table(inputs.runs), ""]
    for run in inputs.runs if len(inputs.runs) <= MAX_CURVES else ():
        curves = report.learning_curves(run, width, CURVE_LINES)
        things += [report.heading(run), curves] if curves is not None else []
    things += [report.differences(found) for found in inputs.comparisons if found.verdicts]
    return [*things, report.summary(inputs)]


def _remarks(document: Mapping[str, Any]) -> list[RenderableType]:
    """What a reader of the figures must know."""
    found = []
    if document["note"]:
        found.append(document["note"])
    found += document.get("notes", [])
    if document.get("untrained"):
        found.append("untrained: no stage had an epoch, this is the baseline")
    if not document["held_out"]:
        found.append(f"not held out: the {document['split']} split took part in training")
    if document.get("trained_on"):
        found.append(f"leaky: {document['trained_on']:,} of these {document['n']:,} images were trained on")
    elif document["leaky"]:
        found.append("leaky: the test split, or relatives of it, were trained on")
    if "looks" in document:
        from toolbox.evaluation.test_set_uses import Looks

        found.append(Looks(**document["looks"]).words)
    return [Text(f"note: {text}", "yellow") for text in found]
