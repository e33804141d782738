"""What trainings, evaluations and reports print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from toolbox.cli.views import report
from toolbox.cli.views.tables import duration, gigabytes, table
from toolbox.report import tables
from toolbox.report.gather import run_view
from toolbox.report.wording import interval, leakage_sentence, number

if TYPE_CHECKING:
    from toolbox.report.inputs import ReportInputs
    from toolbox.runs.evaluation import EvaluationRecord
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
        *_leakage(run.evaluation),
        *_brief_tables(run.evaluation),
        *_notes(run.evaluation),
        Text(f"Run: {run.path}"),
    ]


def training_plan(plan: Mapping[str, Any]) -> list[RenderableType]:
    """What a training would do, with its time and disk space at most."""
    return [
        Text(
            f"Would train {plan['model']} ({plan['parameters']:,} parameters, weights: {plan['weights']}) on"
            f" {plan['train_images']:,} images ({plan['train_on']}) of {plan['size']} pixels on {plan['device']}:"
        ),
        *(f"  {stage['name']}: {_budget(stage)} at lr {stage['lr']:g}" for stage in plan["stages"]),
        f"At most about {duration(plan['seconds'])}; up to {gigabytes(plan['bytes'])} of disk.",
    ]


def evaluation_result(evaluation: EvaluationRecord) -> list[RenderableType]:
    """An evaluation's metrics with their intervals."""
    rows = table("metric", "value", "95 % interval", "by")
    for name, metric in evaluation.metrics.items():
        rows.add_row(Text(metric.label or name), number(metric.value), interval(metric), Text(metric.method, "dim"))
    where = evaluation.external or f"the {evaluation.split} split"
    title = Text(f"{evaluation.run} ({evaluation.model}) on {evaluation.n} images of {where}", "bold")
    return [title, rows, *_leakage(evaluation), *_brief_tables(evaluation), *_notes(evaluation)]


def runs_table(runs: Sequence[Run]) -> list[RenderableType]:
    """The runs' metrics side by side."""
    return [report.results_table([run_view(run) for run in runs])]


def report_result(inputs: ReportInputs, width: int) -> list[RenderableType]:
    """A report's runs side by side, with their curves where they are few, what differs, and the verdict."""
    things: list[RenderableType] = [report.results_table(inputs.runs), ""]
    for run in inputs.runs if len(inputs.runs) <= MAX_CURVES else ():
        curves = report.learning_curves(run, width, CURVE_LINES)
        things += [report.heading(run), curves] if curves is not None else []
    things += [report.differences(comparison) for comparison in inputs.comparisons if comparison.comparisons]
    return [*things, report.summary(inputs)]


def _budget(stage: Mapping[str, Any]) -> str:
    return f"{stage['steps']:,} steps" if stage["steps"] and stage["epochs"] else f"{stage['epochs']} epoch(s)"


def _leakage(evaluation: EvaluationRecord) -> list[RenderableType]:
    """Every metric on all, clean and leaked images, where some leaked."""
    content = tables.leakage(evaluation)
    return [] if content is None else ["", Text(content.title, "bold"), report.text_table(content)]


def _brief_tables(evaluation: EvaluationRecord) -> list[RenderableType]:
    """Brief tables, and where pictures are."""
    result: list[RenderableType] = []
    for item in evaluation.tables:
        if item.brief:
            rows = table(*map(escape, item.columns))
            for row in item.rows:
                rows.add_row(*(Text(number(value)) for value in row))
            result += ["", Text(item.title, "bold"), rows]
    pictures = [picture for gallery in evaluation.galleries for picture in gallery.pictures]
    if pictures:
        titles = ", ".join(gallery.title.lower() for gallery in evaluation.galleries)
        text = f"{len(pictures):,} pictures in {evaluation.path}/figures ({titles}); 'toolbox report' shows them"
        result += ["", Text(text)]
    return result


def _notes(evaluation: EvaluationRecord) -> list[RenderableType]:
    """What a reader of the figures must know."""
    notes = [evaluation.note] if evaluation.note else []
    notes += evaluation.notes
    if evaluation.untrained:
        notes.append("untrained: no stage had an epoch, this is the baseline")
    if not evaluation.held_out:
        notes.append(f"not held out: the {evaluation.split} split took part in training")
    if evaluation.trained_on:
        notes.append(f"leaky: {evaluation.trained_on:,} of these {evaluation.n:,} images were trained on")
    elif evaluation.leaky:
        notes.append("leaky: the test split, or relatives of it, were trained on")
    if worth := leakage_sentence(evaluation):
        notes.append(worth)
    if evaluation.looks:
        notes.append(evaluation.looks.words)
    return [Text(f"note: {text}", "yellow") for text in notes]
