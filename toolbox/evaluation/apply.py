"""Evaluates runs: on the split that they held out, or on another dataset (an external test)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter
from toolbox.data import index, manifest
from toolbox.data.index import QuarantinedSample
from toolbox.data.manifest import Row
from toolbox.data.source import open_source
from toolbox.evaluation import test_set_uses
from toolbox.evaluation.evaluate import evaluate, save
from toolbox.evaluation.evidence import Supply, of_run
from toolbox.plugin.registry import Registry
from toolbox.runs import folder as runs
from toolbox.runs import predictions
from toolbox.runs.folder import Run
from toolbox.runs.predictions import of_rows, split_of
from toolbox.settings.schema import Settings


def own(run: Run, workspace: Path, settings: Settings, registry: Registry, reporter: Reporter) -> dict[str, Any]:
    """Evaluate the run's own predictions and keep what is found; a look at a test split is counted."""
    found = predictions.read(run.path / runs.PREDICTIONS)
    split = split_of(found)
    part, held_out = found.part(split), split == "test"
    validation = found.part("val") if held_out else None
    supply = of_run(run, workspace, settings, registry, reporter)
    document = evaluate(run, part, settings.evaluators, registry, supply, split, held_out, validation=validation)
    if held_out:
        document["looks"] = asdict(test_set_uses.look(workspace, run, part))
    save(run, document)
    return document


def external(
    run: Run, data: str, workspace: Path, settings: Settings, registry: Registry, reporter: Reporter
) -> tuple[dict[str, Any], tuple[QuarantinedSample, ...]]:
    """Let the run predict another dataset and evaluate that; what is found is kept in the run's folder.

    Also gives what of the dataset could not be read.

    Raises
    ------
    UsageError: the dataset has a class that the run does not know.
    """
    source = open_source(data, registry)
    found = index.build_index(source, reporter)
    classes = tuple(run.record["data"]["classes"])
    if set(found.manifest.classes) - set(classes):
        raise UsageError(
            f"{data} has the classes {', '.join(found.manifest.classes)}; the run {run.id} knows {', '.join(classes)}",
            "An external test needs the same class names.",
        )
    # A dataset that brings a test part is tested on it, any other on everything it holds.
    rows = found.manifest.part("test") or list(found.manifest.rows)
    tag = found.manifest.fingerprint[:8]
    supply = Supply(run, rows, lambda: source, settings, registry, reporter)
    values = supply.predictor.of_rows(rows, source, reporter)
    answers = of_rows(rows, classes, values)
    document = evaluate(
        run, answers, settings.evaluators, registry, supply, "test", held_out=True, external=source.spec, tag=tag
    )
    trained_on = _trained_on(run, rows, reporter)
    document = {**document, "trained_on": trained_on, "leaky": document["leaky"] or bool(trained_on)}
    document["looks"] = asdict(test_set_uses.look(workspace, run, answers))
    fields = [{name: getattr(row, name) for name in runs.ROW_FIELDS} for row in rows]
    runs.write_predictions(run.path / f"predictions-{tag}.csv", fields, values, classes)
    save(run, document, f"evaluation-{tag}.json")
    reporter.info(f"kept in {run.path / f'evaluation-{tag}.json'}")
    return document, found.quarantined


def _trained_on(run: Run, rows: Sequence[Row], reporter: Reporter) -> int | None:
    """How many of ``rows`` have the pixels of an image that ``run`` trained on; ``None`` where it did not keep
    which those are."""
    kept = run.path / runs.MANIFEST
    if not kept.is_file():
        reporter.warn(f"the run {run.id} keeps no {runs.MANIFEST}: what it trained on can't be compared")
        return None
    seen = {row.pixels for row in manifest.read(kept).part("train")}
    return sum(row.pixels in seen for row in rows)
