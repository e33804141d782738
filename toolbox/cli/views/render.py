"""Results as rich renderables: what the commands print for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from toolbox.data.audit.findings import Audit
    from toolbox.data.manifest import Row
    from toolbox.data.workspace_manifest import SplitDataset
    from toolbox.evaluation.canary import Canary
    from toolbox.report.inputs import ReportInputs
    from toolbox.runs.evaluation import EvaluationRecord
    from toolbox.runs.folder import Run


MOST_CURVES = 3
"""Runs up to which a report's curves are drawn in the terminal, too."""

SMALL = 5
"""Lines of such a curve."""


def duration(seconds: float) -> str:
    """``seconds`` as people say it: ``8 s``, ``2 min 5 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def gigabytes(count: int) -> str:
    """A number of bytes with the unit that suits it."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def run_result(run: Run, width: int) -> list[RenderableType]:
    """A finished training: its curves, its confusion matrix, its metrics with intervals, and where it is."""
    from rich.text import Text

    from toolbox.cli.views.report import confusion_matrix, learning_curves, results_table
    from toolbox.report.gather import run_view

    view = run_view(run)
    things = [learning_curves(view, width), confusion_matrix(view), results_table([view])]
    return [
        *(thing for thing in things if thing is not None),
        *_further(run.evaluation),
        *_remarks(run.evaluation),
        Text(f"Run: {run.path}"),
    ]


def training_plan(plan: Mapping[str, Any]) -> list[RenderableType]:
    """What a training would do, with its time and disk space at most."""
    from rich.text import Text

    return [
        Text(
            f"Would train {plan['model']} ({plan['parameters']:,} parameters, weights: {plan['weights']}) on"
            f" {plan['train_images']:,} images ({plan['train_on']}) of {plan['size']} pixels on {plan['device']}:"
        ),
        *(f"  {stage['name']}: {stage['epochs']} epoch(s) at lr {stage['lr']:g}" for stage in plan["stages"]),
        f"At most about {duration(plan['seconds'])}; up to {gigabytes(plan['bytes'])} of disk.",
    ]


def evaluation_result(evaluation: EvaluationRecord) -> list[RenderableType]:
    """An evaluation's metrics with their intervals."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.report.wording import interval, number

    table = Table("metric", "value", "95 % interval", "by", box=None, pad_edge=False, header_style="bold")
    for name, metric in evaluation.metrics.items():
        table.add_row(Text(metric.label or name), number(metric.value), interval(metric), Text(metric.method, "dim"))
    where = evaluation.external or f"the {evaluation.split} split"
    head = Text(f"{evaluation.run} ({evaluation.model}) on {evaluation.n} images of {where}", "bold")
    return [head, table, *_further(evaluation), *_remarks(evaluation)]


def _further(evaluation: EvaluationRecord) -> list[RenderableType]:
    """Brief tables, and where pictures are."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from toolbox.report.wording import number

    things: list[RenderableType] = []
    for result in evaluation.tables:
        if result.brief:
            table = Table(*map(escape, result.columns), box=None, pad_edge=False, header_style="bold")
            for row in result.rows:
                table.add_row(*(Text(number(value)) for value in row))
            things += ["", Text(result.title, "bold"), table]
    pictures = [picture for gallery in evaluation.galleries for picture in gallery.pictures]
    if pictures:
        titles = ", ".join(gallery.title.lower() for gallery in evaluation.galleries)
        text = f"{len(pictures):,} pictures in {evaluation.path}/figures ({titles}); 'toolbox report' shows them"
        things += ["", Text(text)]
    return things


def runs_table(runs: Sequence[Run]) -> list[RenderableType]:
    """The runs' metrics side by side."""
    from toolbox.cli.views.report import results_table
    from toolbox.report.gather import run_view

    return [results_table([run_view(run) for run in runs])]


def report_result(inputs: ReportInputs, width: int) -> list[RenderableType]:
    """A report's runs side by side, with their curves where they are few, what differs, and the verdict."""
    from toolbox.cli.views import report

    things: list[RenderableType] = [report.results_table(inputs.runs), ""]
    for run in inputs.runs if len(inputs.runs) <= MOST_CURVES else ():
        curves = report.learning_curves(run, width, SMALL)
        things += [report.heading(run), curves] if curves is not None else []
    things += [report.differences(found) for found in inputs.comparisons if found.verdicts]
    return [*things, report.summary(inputs)]


def counts_table(counts: Mapping[str, Mapping[str, int]]) -> RenderableType:
    """Images by split and class."""
    from rich.markup import escape
    from rich.table import Table

    labels = list(dict.fromkeys(label for row in counts.values() for label in row))
    table = Table("split", *(escape(label) for label in labels), "all", box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for split, row in counts.items():
        table.add_row(split or "(none yet)", *(f"{row[label]:,}" for label in labels), f"{sum(row.values()):,}")
    return table


def split_result(prepared: SplitDataset) -> list[RenderableType]:
    """Who is where, in how many groups, and what was taken out."""
    from rich.text import Text

    found = prepared.manifest
    things: list[RenderableType] = [counts_table(found.counts())]
    homes: dict[str, set[str]] = {}
    for row in found.rows:
        if row.group:
            homes.setdefault(row.group, set()).add(row.split)
    if homes:
        divided = sum(len(splits) > 1 for splits in homes.values())
        things.append(Text(f"{len(homes):,} groups, {f'{divided:,} of them' if divided else 'none'} divided"))
    if prepared.settings.folds:
        sizes = Counter(row.fold for row in found.rows if row.fold)
        listed = ", ".join(f"{fold}: {count:,}" for fold, count in sorted(sizes.items(), key=lambda item: int(item[0])))
        things.append(
            Text(
                f"{prepared.settings.folds} folds (images in each: {listed}); fold {prepared.settings.fold} is held out"
            )
        )
    if prepared.dropped:
        first, stays = next(iter(prepared.dropped.items()))
        things.append(Text(f"{len(prepared.dropped):,} taken out of the training side ({first}, since {stays} stays)"))
    return things


def audit_result(audit: Audit, page: Path) -> list[RenderableType]:
    """How many leaks and warnings of which kind, and the first of them."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.data.audit.findings import KINDS
    from toolbox.report.wording import likeliest_pairs

    found = {kind: [finding for finding in audit.findings if finding.kind == kind] for kind in KINDS}
    table = Table("what", "leaks", "warnings", box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, members in found.items():
        leaks = sum(finding.leak for finding in members)
        if members:
            table.add_row(KINDS[kind], f"{leaks:,}", f"{len(members) - leaks:,}")
    shown = Table(box=None, pad_edge=False, show_header=False)
    for finding in audit.leaks[:5]:
        for path, split in list(zip(finding.paths, finding.splits, strict=True))[:4]:
            shown.add_row(Text(split, "bold"), Text(path), Text(finding.note, "dim"))
        shown.add_section()
    count = len(audit.leaks)
    verdict = Text(f"{count:,} leak{'s' * (count != 1)} between the splits", "bold red" if count else "bold green")
    things: list[RenderableType] = [verdict, *([table] if audit.findings else []), *([shown] if count else [])]
    if audit.comparison is not None:
        compared = audit.comparison
        text = (
            f"{compared.described:,} pictures described, {likeliest_pairs(compared.registered)} compared pixel by pixel"
        )
        more = f" ({compared.left_out:,} less likely ones were not)" if compared.left_out else ""
        things.append(Text(text + more, "dim"))
    return [*things, Text(f"Side by side: {page}")]


def canary_result(canary: Canary) -> list[RenderableType]:
    """Both accuracies on shuffled labels, and what their difference says."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.report.wording import interval, number

    table = Table(
        "labels shuffled by group", "accuracy", "95 % interval", box=None, pad_edge=False, header_style="bold"
    )
    table.add_row("folds that divide groups", number(canary.divided.value), interval(canary.divided))
    table.add_row("folds by group", number(canary.whole.value), interval(canary.whole))
    table.add_row("chance (the largest class)", number(canary.chance), "")
    head = f"{canary.model} on {canary.images:,} images of {canary.groups:,} groups, {canary.folds} folds"
    return [
        Text(head, "bold"),
        table,
        Text(_moral(canary), "yellow" if (canary.divided.low or 0) > canary.chance else ""),
    ]


def _moral(canary: Canary) -> str:
    if (canary.divided.low or 0) > canary.chance:
        return (
            "Shuffled labels hold nothing to learn: what lies above chance is the network knowing a group again."
            " On this data a split that divides groups measures that, too."
        )
    return "Even a split that divides groups stays at chance: this model does not know a group again."


def inspection(document: Mapping[str, Any]) -> list[RenderableType]:
    """What ``toolbox data inspect`` shows."""
    from rich.table import Table
    from rich.text import Text

    width, height = document["width"], document["height"]
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_row("images", f"{document['images']:,}")
    facts.add_row("width", f"{width['min']} to {width['max']} pixels, median {width['median']:g}")
    facts.add_row("height", f"{height['min']} to {height['max']} pixels, median {height['median']:g}")
    facts.add_row("modes", ", ".join(f"{count:,} {mode}" for mode, count in document["modes"].items()))
    if document["groups"]:
        facts.add_row("groups", f"{document['groups']:,} (a split never divides one)")
    if document["identical"]:
        facts.add_row("repeated", f"{document['identical']:,} of them with the same pixels as another")
    facts.add_row("unreadable", f"{len(document['quarantined']):,}")
    things: list[RenderableType] = [Text(document["data"], "bold"), _class_bars(document), "", facts]
    if document["split_from"]:
        whose = "the dataset's own" if document["split_from"] == "dataset" else f"as in {document['split_from']}"
        stale = ", which is older than the data: run 'toolbox data split' again" if document["split_stale"] else ""
        things += ["", counts_table(document["counts"]), Text(f"splits {whose}{stale}", "dim")]
    notes = document["notes"]
    things += [Text(f"{item['path']}: {item['note']}", "dim") for item in notes[:5]]
    if len(notes) > 5:
        things.append(Text(f"… and {len(notes) - 5:,} more notes, all in --json", "dim"))
    return things


def sample_names(samples: Mapping[str, Sequence[Row]]) -> list[RenderableType]:
    """Random samples of each class by name; a terminal shows no pictures."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.report.wording import clean, shorten

    table = Table("class", "random samples", box=None, pad_edge=False, header_style="bold")
    for label, rows in samples.items():
        names = ", ".join(PurePosixPath(row.path).name for row in rows)
        table.add_row(Text(shorten(label, 30), "bold"), Text(clean(names), overflow="fold"))
    return ["", table, Text("--picture FILE.png draws them", "dim")]


def _class_bars(document: Mapping[str, Any]) -> RenderableType:
    """Class balance: a bar for each class with its share, most first."""
    from rich.bar import Bar
    from rich.table import Table
    from rich.text import Text

    from toolbox.report.wording import shorten

    classes = sorted(document["classes"].items(), key=lambda item: (-item[1], item[0]))
    most = classes[0][1]
    bars = Table(box=None, pad_edge=False, show_header=False)
    for column in (None, "right", "right", None):
        bars.add_column(justify=column or "left", no_wrap=True)
    for label, count in classes:
        share = f"{100 * count / document['images']:.1f} %"
        bars.add_row(Text(shorten(label, 30), "bold"), f"{count:,}", share, Bar(most, 0, count, width=30, color="cyan"))
    return bars


def prepared_lines(document: Mapping[str, Any]) -> list[RenderableType]:
    """What ``toolbox data prepare`` did, or would do."""
    from rich.markup import escape

    path, images = escape(document["path"]), document["images"]
    what = f"{document['size']} × {document['size']} pixels, {document['format'].upper()}"
    what += {"1": ", grey", "3": ", RGB"}.get(document["channels"], "")
    if "dry_run" in document:
        there = " It is there already." if document["exists"] else ""
        need = f"about {gigabytes(document['bytes'])}, {duration(document['seconds'])}"
        return [counts_table(document["counts"]), f"Would write {images:,} images ({what}) to {path}: {need}.{there}"]
    if document["skipped"] == images:
        head = f"{images:,} images ({what}) were there already, in [bold]{path}[/]."
    else:
        again = f" {document['skipped']:,} of them were there already." if document["skipped"] else ""
        head = f"Wrote [bold]{images:,}[/] images ({what}) to [bold]{path}[/].{again}"
    return [counts_table(document["counts"]), head, f"Use them with --data {escape(document['manifest'])}"]


def _remarks(evaluation: EvaluationRecord) -> list[RenderableType]:
    """What a reader of the figures must know."""
    from rich.text import Text

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
    if evaluation.looks:
        notes.append(evaluation.looks.words)
    return [Text(f"note: {text}", "yellow") for text in notes]
