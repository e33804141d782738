"""Evaluates runs: on the split that they held out, or on another dataset (an external test)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter
from toolbox.data import index, manifest
from toolbox.data.index import QuarantinedSample
from toolbox.data.manifest import Row
from toolbox.data.source import open_source
from toolbox.evaluation.evaluate import evaluate, save
from toolbox.evaluation.evidence import EvidenceSource, source_of_run
from toolbox.evaluation.test_set_uses import count_use
from toolbox.plugin.registry import Registry
from toolbox.runs.evaluation import EvaluationRecord
from toolbox.runs.folder import MANIFEST, PREDICTIONS, Run
from toolbox.runs.predictions import Predictions
from toolbox.settings.schema import Settings


def evaluate_run(
    run: Run, workspace: Path, settings: Settings, registry: Registry, reporter: Reporter
) -> EvaluationRecord:
    """Evaluate the run's own predictions and save the result; a use of a test split is counted."""
    predictions = Predictions.read(run.path / PREDICTIONS)
    split = predictions.evaluation_split
    part = predictions.part(split)
    validation = predictions.part("val") if split == "test" else None
    source = source_of_run(run, workspace, settings, registry, reporter)
    evaluation = evaluate(source, part, split, validation=validation)
    if split == "test":
        evaluation = evaluation.updated(looks=count_use(workspace, run, part))
    save(run, evaluation)
    return evaluation


def evaluate_external(
    run: Run, data: str, workspace: Path, settings: Settings, registry: Registry, reporter: Reporter
) -> tuple[EvaluationRecord, tuple[QuarantinedSample, ...]]:
    """Predict another dataset with the run's model, evaluate that, and save the result in the run's folder.

    Also returns what of the dataset could not be read.

    Raises
    ------
    UsageError: the dataset has a class that the run does not know.
    """
    dataset = open_source(data, registry)
    indexed = index.build_index(dataset, reporter)
    samples, classes = indexed.manifest, run.record.data.classes
    if set(samples.classes) - set(classes):
        raise UsageError(
            f"{data} has the classes {', '.join(samples.classes)}; the run {run.id} knows {', '.join(classes)}",
            "An external test needs the same class names.",
        )
    # A dataset that brings a test part is tested on it, any other on everything it holds.
    rows = samples.part("test") or list(samples.rows)
    tag = samples.fingerprint[:8]
    source = EvidenceSource(run, rows, lambda: dataset, settings, registry, reporter)
    predictions = Predictions.of_rows(rows, classes, source.predictor.of_rows(rows, dataset, reporter))
    evaluation = evaluate(source, predictions, "test", external=dataset.spec, tag=tag)
    trained_on = _count_trained_on(run, rows, reporter)
    evaluation = evaluation.updated(
        trained_on=trained_on,
        leaky=evaluation.leaky or bool(trained_on),
        looks=count_use(workspace, run, predictions),
    )
    predictions.write(run.path / f"predictions-{tag}.csv")
    save(run, evaluation, tag)
    reporter.info(f"kept in {run.path / f'evaluation-{tag}.json'}")
    return evaluation, indexed.quarantined


def _count_trained_on(run: Run, rows: Sequence[Row], reporter: Reporter) -> int | None:
    """How many of ``rows`` have the pixels of an image that ``run`` trained on; ``None`` where it kept no manifest."""
    path = run.path / MANIFEST
    if not path.is_file():
        reporter.warn(f"the run {run.id} has no {MANIFEST}: its training images can't be compared with these")
        return None
    pixels = {row.pixels for row in manifest.read(path).part("train")}
    return sum(row.pixels in pixels for row in rows)
