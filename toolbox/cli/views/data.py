"""What ``toolbox data`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from rich.bar import Bar
from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from toolbox.cli.views.tables import duration, gigabytes, table
from toolbox.report.wording import likeliest_pairs, number, p_text, shorten

if TYPE_CHECKING:
    from toolbox.data.audit.findings import Audit
    from toolbox.data.manifest import Row
    from toolbox.data.workspace_manifest import SplitDataset
    from toolbox.evaluation.canary import Canary


def inspection(document: Mapping[str, Any]) -> list[RenderableType]:
    """What ``toolbox data inspect`` counted."""
    facts = {"images": f"{document['images']:,}"}
    for side in ("width", "height"):
        pixels = document[side]
        facts[side] = f"{pixels['min']} to {pixels['max']} pixels, median {pixels['median']:g}"
    facts["modes"] = ", ".join(f"{count:,} {mode}" for mode, count in document["modes"].items())
    if document["groups"]:
        facts["groups"] = f"{document['groups']:,} (a split never divides one)"
    if document["identical"]:
        facts["repeated"] = f"{document['identical']:,} of them with the same pixels as another"
    facts["unreadable"] = f"{len(document['quarantined']):,}"
    rows = table()
    for name, text in facts.items():
        rows.add_row(name, Text(text))
    result: list[RenderableType] = [Text(document["data"], "bold"), _class_bars(document), "", rows]
    if document["split_from"]:
        whose = "the dataset's own" if document["split_from"] == "dataset" else f"as in {document['split_from']}"
        stale = ", which is older than the data: run 'toolbox data split' again" if document["split_stale"] else ""
        result += ["", _counts(document["counts"]), Text(f"splits {whose}{stale}", "dim")]
    notes = document["notes"]
    result += [Text(f"{item['path']}: {item['note']}", "dim") for item in notes[:5]]
    if len(notes) > 5:
        result.append(Text(f"… and {len(notes) - 5:,} more notes; --json lists all", "dim"))
    return result


def sample_names(samples: Mapping[str, Sequence[Row]]) -> list[RenderableType]:
    """The names of random samples of each class."""
    rows = table("class", "random samples")
    for label, members in samples.items():
        names = ", ".join(PurePosixPath(row.path).name for row in members)
        rows.add_row(Text(shorten(label, 30), "bold"), Text(names, overflow="fold"))
    return ["", rows, Text("--picture FILE.png draws them", "dim")]


def prepared_lines(document: Mapping[str, Any]) -> list[RenderableType]:
    """What ``toolbox data prepare`` wrote, or would write."""
    path, images = escape(document["path"]), document["images"]
    what = f"{document['size']} × {document['size']} pixels, {document['format'].upper()}"
    what += {"1": ", gray", "3": ", RGB"}.get(document["channels"], "")
    if "dry_run" in document:
        exists = " It already exists." if document["exists"] else ""
        need = f"about {gigabytes(document['bytes'])}, {duration(document['seconds'])}"
        return [_counts(document["counts"]), f"Would write {images:,} images ({what}) to {path}: {need}.{exists}"]
    if document["skipped"] == images:
        line = f"All {images:,} images ({what}) already exist in [bold]{path}[/]."
    else:
        skipped = f" {document['skipped']:,} of them already existed." if document["skipped"] else ""
        line = f"Wrote [bold]{images:,}[/] images ({what}) to [bold]{path}[/].{skipped}"
    return [_counts(document["counts"]), line, f"Use them with --data {escape(document['manifest'])}"]


def split_result(prepared: SplitDataset) -> list[RenderableType]:
    """Images by split and class, the number of groups, folds, and dropped images."""
    settings, rows = prepared.settings, prepared.manifest.rows
    result: list[RenderableType] = [_counts(prepared.manifest.counts())]
    splits: dict[str, set[str]] = {}
    for row in rows:
        if row.group:
            splits.setdefault(row.group, set()).add(row.split)
    if splits:
        divided = sum(len(names) > 1 for names in splits.values())
        result.append(Text(f"{len(splits):,} groups, {f'{divided:,} of them' if divided else 'none'} divided"))
    if settings.folds:
        sizes = Counter(row.fold for row in rows if row.fold)
        images = ", ".join(f"{fold}: {count:,}" for fold, count in sorted(sizes.items(), key=lambda item: int(item[0])))
        result.append(Text(f"{settings.folds} folds (images in each: {images}); fold {settings.fold} is held out"))
    if prepared.dropped:
        first, other = next(iter(prepared.dropped.items()))
        result.append(Text(f"{len(prepared.dropped):,} dropped from the training side ({first}: {other} stays)"))
    return result


def audit_result(audit: Audit, page: Path) -> list[RenderableType]:
    """The number of leaks and warnings by kind, and the first leaks."""
    from toolbox.data.audit.findings import KINDS

    kinds = table("what", "leaks", "warnings", right=(1, 2))
    for kind, title in KINDS.items():
        leaks = [finding.leak for finding in audit.findings if finding.kind == kind]
        if leaks:
            kinds.add_row(title, f"{sum(leaks):,}", f"{len(leaks) - sum(leaks):,}")
    first = table()
    for finding in audit.leaks[:5]:
        for path, split in list(zip(finding.paths, finding.splits, strict=True))[:4]:
            first.add_row(Text(split, "bold"), Text(path), Text(finding.note, "dim"))
        first.add_section()
    count = len(audit.leaks)
    verdict = Text(f"{count:,} leak{'s' * (count != 1)} between the splits", "bold red" if count else "bold green")
    result: list[RenderableType] = [verdict, *([kinds] if audit.findings else []), *([first] if count else [])]
    compared = audit.comparison
    if compared is not None:
        skipped = f" ({compared.left_out:,} less likely ones were not)" if compared.left_out else ""
        pairs = f"{likeliest_pairs(compared.registered)} compared pixel by pixel{skipped}"
        result.append(Text(f"{compared.described:,} pictures described, {pairs}", "dim"))
    return [*result, Text(f"Side by side: {page}")]


def canary_result(canary: Canary) -> list[RenderableType]:
    """Both accuracies on shuffled labels beside chance, and what they mean."""
    rows = table("labels shuffled by group", "accuracy", "by chance", "95 % of shuffles", "p")
    for name, test in (("groups divided", canary.divided), ("groups whole", canary.whole)):
        chance_range = f"{number(test.low)}\N{EN DASH}{number(test.high)}"
        rows.add_row(name, number(test.accuracy), number(test.chance), chance_range, p_text(test.p_value))
    title = f"{canary.model} on {canary.images:,} images of {canary.groups:,} groups, {canary.shuffles} shuffles"
    return [Text(title, "bold"), rows, Text(canary.words, "yellow" if canary.leaks else "")]


def _counts(counts: Mapping[str, Mapping[str, int]]) -> RenderableType:
    """Images by split and class."""
    labels = list(dict.fromkeys(label for row in counts.values() for label in row))
    rows = table("split", *map(escape, labels), "all", right=tuple(range(1, len(labels) + 2)))
    for split, row in counts.items():
        rows.add_row(split or "(none yet)", *(f"{row[label]:,}" for label in labels), f"{sum(row.values()):,}")
    return rows


def _class_bars(document: Mapping[str, Any]) -> RenderableType:
    """A bar for each class with its share, largest first."""
    classes = sorted(document["classes"].items(), key=lambda item: (-item[1], item[0]))
    bars = table()
    for justify in ("left", "right", "right", "left"):
        bars.add_column(justify=justify, no_wrap=True)
    for label, count in classes:
        share = f"{100 * count / document['images']:.1f} %"
        bar = Bar(classes[0][1], 0, count, width=30, color="cyan")
        bars.add_row(Text(shorten(label, 30), "bold"), f"{count:,}", share, bar)
    return bars
