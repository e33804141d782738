"""Collects what a report shows from the files that earlier commands wrote."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from toolbox.augment import lineage
from toolbox.augment.recipe import FOLDER as AUGMENTED
from toolbox.data import manifest as manifests
from toolbox.data.images import UnreadableImage, decode, read_file
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source, open_source
from toolbox.errors import ToolboxError
from toolbox.evaluation import galleries, looks
from toolbox.evaluation.evaluate import restored
from toolbox.plugin.registry import Registry
from toolbox.report.inputs import CopyRow, DataView, Epoch, ReportInputs, RunView, Thumb
from toolbox.runs import Run

SAMPLES_A_CLASS = 6
SOURCES_SHOWN = 3
COPIES_SHOWN = 6


def gather(workspace: Path, chosen: Sequence[Run], registry: Registry) -> ReportInputs:
    """What a report on ``chosen`` shows. Runs on other data than the newest one's are noted."""
    newest = chosen[-1]
    views = [run_view(run) for run in chosen]
    notes = []
    if len({run.record["data"]["fingerprint"] for run in chosen}) > 1:
        notes.append(f"The runs differ in data or split; the data section is that of {newest.id}.")
    notes += dict.fromkeys(
        seen.words[:1].upper() + seen.words[1:] + "."
        for run in chosen
        if (seen := looks.of_run(run)) is not None and seen.count >= looks.MANY
    )
    return ReportInputs(
        title="Experiment report",
        created="",
        workspace=workspace.resolve().name,
        runs=views,
        data=_data_view(workspace, newest, chosen, registry),
        notes=notes,
    )


def run_view(run: Run) -> RunView:
    """One run as reports and the terminal show it."""
    record, evaluation = run.record, run.evaluation
    return RunView(
        id=run.id,
        model=record["model"],
        command=record["command"],
        split=evaluation["split"],
        n=evaluation["n"],
        held_out=evaluation["held_out"],
        leaky=record["leaky"],
        evaluation=restored(evaluation),
        history=[_epoch(line) for line in run.history()],
        facts=[*_facts(record), *_looks(run)],
        warnings=[*_warnings(record), *evaluation.get("notes", [])],
        galleries=galleries.read(run),
    )


def _epoch(line: Mapping[str, Any]) -> Epoch:
    names = ("stage", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
    return Epoch(**{name: line.get(name) for name in names})  # type: ignore[arg-type]  # as metrics.jsonl has them


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    request = record["request"]
    files = sum(record["training_files"].values())
    kinds = {"originals": "originals", "augmented": f"copies in {record['augmented_set']}", "online": "fresh copies"}
    facts = [
        ("weights", "none: trained from scratch" if record["kind"] == "train" else record["weights"]),
        ("trained on", f"{files:,} {kinds.get(record['train_on'], record['train_on'])}"),
        ("input", f"{request['size']} × {request['size']}, {request['channels']} channel(s)"),
        ("parameters", f"{record['parameters']:,}"),
        *((f"stage {stage['name']}", _stage_words(stage)) for stage in record.get("stages", [])),
        ("seed", str(record["seed"])),
        ("device", f"{record['device']}, {record['threads']} threads"),
        ("time", f"{record.get('seconds', 0):,.0f} s"),
        ("split", record["data"]["split_fingerprint"][:12]),
        ("data", record["data"]["fingerprint"][:12]),
    ]
    return [*facts, *((name, version) for name, version in record["versions"].items() if name != "platform")]


def _looks(run: Run) -> list[tuple[str, str]]:
    seen = looks.of_run(run)
    return [] if seen is None else [("looks at its test set", f"{seen.count:,}, {seen.by_run:,} of them by this run")]


def _stage_words(stage: Mapping[str, Any]) -> str:
    text = f"{stage['epochs_run']} epochs of {stage['optimizer']} at lr {stage['lr']:g}, batch {stage['batch_size']}"
    if stage["stopped_early"] or stage["best_epoch"] != stage["epochs_run"]:
        text += f"; weights of epoch {stage['best_epoch']} kept"
    frozen = stage["frozen_before"] == stage["frozen_after"]
    return f"{text}; {stage['trained_parameters']:,} parameters trained" + ("" if frozen else "; FROZEN PART CHANGED")


def _warnings(record: Mapping[str, Any]) -> list[str]:
    found = []
    if record["data"]["note"]:
        found.append(record["data"]["note"])
    if record.get("untrained"):
        found.append("untrained: no stage had an epoch, this is the baseline.")
    if record["data"]["quarantined"]:
        found.append(f"{record['data']['quarantined']} files could not be read and were left out.")
    return found


def _data_view(workspace: Path, newest: Run, chosen: Sequence[Run], registry: Registry) -> DataView:
    record = newest.record
    data, split = record["data"], record["config"]["split"]
    augmented = next((run.record for run in reversed(chosen) if run.record["augmented_set"]), None)
    samples, copies = _pictures(workspace, record, augmented, registry)
    return DataView(
        description=data["spec"],
        note=data["note"],
        counts_before=data["counts"],
        counts_after=augmented["training_files"] if augmented else None,
        samples=samples,
        copies=copies,
        quarantined=_quarantined(workspace),
        fingerprint=data["fingerprint"],
        split_facts=[
            ("protocol", split["protocol"]),
            ("test share asked for", f"{split['test']:g}"),
            ("validation share asked for", f"{split['val']:g}"),
            ("split seed", str(split["seed"])),
            ("grouped by", split["group_by"] or "what the dataset says"),
        ],
    )


def _pictures(
    workspace: Path, record: Mapping[str, Any], augmented: Mapping[str, Any] | None, registry: Registry
) -> tuple[list[Thumb], list[CopyRow]]:
    """Samples and copies; none where data or manifest are no longer what the run was trained on."""
    path = workspace / manifests.FILE_NAME
    try:
        spec = record["data"]["spec"]
        manifest = manifests.read(path) if path.exists() else manifests.read(Path(spec))
        if manifest.fingerprint != record["data"]["fingerprint"]:
            return [], []
        source = open_source(spec, registry)
        samples = list(_samples(manifest, source))
        return samples, list(_copies(workspace, augmented, manifest, source)) if augmented else []
    except (ToolboxError, OSError, ValueError):
        return [], []


def _samples(manifest: Manifest, source: Source) -> Iterable[Thumb]:
    for label in manifest.classes:
        rows = [row for row in manifest.rows if row.label == label]
        for row in rows[:: max(1, len(rows) // SAMPLES_A_CLASS)][:SAMPLES_A_CLASS]:
            yield _thumb(row, source)


def _copies(workspace: Path, record: Mapping[str, Any], manifest: Manifest, source: Source) -> Iterable[CopyRow]:
    folder = workspace / AUGMENTED / record["augmented_set"]
    rows = {row.id: row for row in manifest.part("train")}
    first: dict[str, Row] = {}
    for row in rows.values():
        first.setdefault(row.label, row)
    wanted = [row.id for row in [*first.values(), *rows.values()]][:SOURCES_SHOWN]
    lines: dict[str, list[lineage.Line]] = {source_id: [] for source_id in dict.fromkeys(wanted)}
    for line in lineage.read(folder / lineage.FILE_NAME):
        if line.source in lines and len(lines[line.source]) < COPIES_SHOWN:
            lines[line.source].append(line)
    for source_id, found in lines.items():
        copies = [
            Thumb(rows[source_id].label, lineage.in_words(line.params), _file(folder / line.path)) for line in found
        ]
        yield CopyRow(_thumb(rows[source_id], source), copies)


def _thumb(row: Row, source: Source) -> Thumb:
    return Thumb(row.label, row.path, source.image(row))


def _file(path: Path) -> Image.Image:
    try:
        return decode(read_file(path)).image
    except UnreadableImage as error:
        raise ValueError(str(error)) from error


def _quarantined(workspace: Path) -> list[tuple[str, str]]:
    path = workspace / "quarantine.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(line["path"], line["reason"]) for line in csv.DictReader(file)]
