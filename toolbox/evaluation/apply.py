"""Evaluates runs: on the split that they held out, or on another dataset (an external test)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter
from toolbox.data import index, manifest
from toolbox.data.audit.leaked import find_leaked
from toolbox.data.audit.near import compare_images
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
    run: Run, workspace: Path, settings: Settings, registry: Registry, reporter: Reporter, *, find_leaks: bool = False
) -> EvaluationRecord:
    """Evaluate the run's own predictions and save the result; a use of a test split is counted.

    ``find_leaks``: look for leaks in the data again, for runs of older versions, which don't say which images leaked.
    """
    predictions = Predictions.read(run.path / PREDICTIONS)
    source = source_of_run(run, workspace, settings, registry, reporter)
    if find_leaks:
        leaked = _find_leaked(run, source, registry, reporter)
        predictions = replace(predictions, leaks=tuple(leaked.get(name, "") for name in predictions.ids))
        predictions.write(run.path / PREDICTIONS)
    split = predictions.evaluation_split
    part = predictions.part(split)
    validation = predictions.part("val") if split == "test" else None
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
    leaked = _find_trained_on(run, rows, reporter)
    trained_on = None if leaked is None else len(leaked)
    predictions = Predictions.of_rows(rows, classes, source.predictor.of_rows(rows, dataset, reporter), leaked)
    evaluation = evaluate(source, predictions, "test", external=dataset.spec, tag=tag)
    evaluation = evaluation.updated(
        trained_on=trained_on,
        leaky=evaluation.leaky or bool(trained_on),
        looks=count_use(workspace, run, predictions),
    )
    predictions.write(run.path / f"predictions-{tag}.csv")
    save(run, evaluation, tag)
    reporter.info(f"kept in {run.path / f'evaluation-{tag}.json'}")
    return evaluation, indexed.quarantined


def _find_trained_on(run: Run, rows: Sequence[Row], reporter: Reporter) -> dict[str, str] | None:
    """Those of ``rows`` with the pixels of an image that ``run`` trained on; ``None`` where it kept no manifest."""
    path = run.path / MANIFEST
    if not path.is_file():
        reporter.warn(f"the run {run.id} has no {MANIFEST}: its training images can't be compared with these")
        return None
    pixels = {row.pixels for row in manifest.read(path).part("train")}
    return {row.id: "identical-pixels" for row in rows if row.pixels in pixels}


def _find_leaked(run: Run, source: EvidenceSource, registry: Registry, reporter: Reporter) -> dict[str, str]:
    """The leaked samples of a run, by the manifest in its folder and the images that its record names.

    Raises
    ------
    UsageError: the run kept no manifest.
    EnvironmentFailure: the images are not available.
    """
    path = run.path / MANIFEST
    if not path.is_file():
        raise UsageError(f"the run {run.id} has no {MANIFEST}, so its leaks can't be found", "Train it again.")
    originals = manifest.read(path)
    dataset = open_source(run.record.data.spec, registry)
    return find_leaked(source.rows, originals, compare_images(originals.rows, dataset, reporter))
