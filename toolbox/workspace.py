"""A workspace: the folder a user works in, and everything that can be done there.

The commands are thin over this class, and a notebook uses it directly::

    from toolbox import Workspace

    ws = Workspace("study", data="cats_dogs", settings={"augment.factor": 5})
    ws.augment()
    run = ws.finetune("efficientnet-lite0", unfreeze_last=True)
    print(run.metrics["accuracy"])
    ws.report()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter, SilentReporter
from toolbox.data import audit as audits
from toolbox.data import manifest, workspace_manifest
from toolbox.data.image_paths import list_images
from toolbox.data.index import QuarantinedSample
from toolbox.data.source import Source, open_source
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.files import atomic
from toolbox.files.outputs import check_output
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, parse
from toolbox.runs.folder import Run, find_run, list_runs
from toolbox.settings import environment, layers
from toolbox.settings.layers import Layer
from toolbox.settings.schema import ComponentSpec, Settings
from toolbox.training import trackers

if TYPE_CHECKING:
    from toolbox.augment.recipe import Recipe
    from toolbox.augment.verify import ReplayResult, VerifyResult
    from toolbox.augment.writer import AugmentResult, Estimate
    from toolbox.data.audit.findings import Audit
    from toolbox.data.prepare.plan import PreparePlan
    from toolbox.data.prepare.run import PrepareResult
    from toolbox.evaluation.canary import Canary
    from toolbox.evaluation.compare import ComparisonResult
    from toolbox.models.export import Exported
    from toolbox.models.predict import Predicted
    from toolbox.report.inputs import ReportInputs
    from toolbox.runs.evaluation import EvaluationRecord
    from toolbox.runs.record import RunRecord
    from toolbox.training.session import Experiment

REPORT = "report.html"
PREVIEW = "preview.png"


@dataclass(frozen=True)
class AugmentPlan:
    """What :meth:`Workspace.augment` would do."""

    recipe: Recipe
    estimate: Estimate
    exists: bool


@dataclass(frozen=True)
class Predictions:
    """Lazy predictions for ``paths``, in their order.

    Iterating yields for each path the prediction, or the reason why the file can't be read.
    """

    run: Run
    classes: tuple[str, ...]
    paths: Sequence[Path]
    results: Iterator[Predicted | QuarantinedSample]

    def __iter__(self) -> Iterator[Predicted | QuarantinedSample]:
        return self.results

    def __len__(self) -> int:
        return len(self.paths)


class Workspace:
    """A folder to work in, with its settings resolved.

    Parameters
    ----------
    path: the folder, created when something is first written.
    data: as ``--data``: a folder, a manifest file, or a dataset component spec.
    settings: by dotted name, over those of ``toolbox.toml``.
    reporter: receives progress and messages.
    dry_run: write nothing, the manifest included.
    resplit: ignore the split settings that an earlier ``data split`` saved.
    evaluators: specs of evaluators beside those in the settings; they replace those of the same name.

    Raises
    ------
    UsageError: unknown settings or bad values.
    """

    def __init__(
        self,
        path: str | Path = ".",
        *,
        data: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
        registry: Registry | None = None,
        command: str = "",
        dry_run: bool = False,
        resplit: bool = False,
        evaluators: Sequence[ComponentSpec] = (),
    ) -> None:
        self.path = Path(path)
        self.reporter = reporter or SilentReporter()
        self.registry = registry or Registry()
        self.command = command
        # Only the first of torchrun's processes writes.
        self._follows = environment.rank() > 0
        self._dry_run = dry_run or self._follows
        self._resplit = resplit
        self._evaluators = list(evaluators)
        file = self.path / layers.FILE_NAME
        self._file_layers: list[Layer] = [layers.from_file(file)] if file.is_file() else []
        names = dict(settings or {})
        if data is not None:
            names["data"] = str(data)
        self._options = layers.from_names("command line", names)
        self.quarantined: tuple[QuarantinedSample, ...] = ()
        """Samples that could not be read in the datasets opened so far."""

    @cached_property
    def source(self) -> Source:
        """The opened dataset."""
        plain = layers.resolve([*self._file_layers, self._options])
        if "data" not in self._options.values and not any("data" in layer.values for layer in self._file_layers):
            self.reporter.info(
                f"no --data and no {layers.FILE_NAME} with 'data': using the embedded dataset {plain.data!r}"
            )
        source = open_source(plain.data, self.registry)
        if source.dataset.note:
            self.reporter.info(f"{source.spec}: {source.dataset.note}")
        return source

    @cached_property
    def settings(self) -> Settings:
        """All settings: defaults < dataset < toolbox.toml < saved split < options."""
        return self._resolve()

    def _resolve(self, *more: Layer) -> Settings:
        suggested = layers.from_names(f"dataset {self.source.spec}", self.source.dataset.suggestions)
        split = layers.from_names(manifest.FILE_NAME, self._saved_split)
        return self._evaluated(layers.resolve([suggested, *self._file_layers, split, self._options, *more]))

    @cached_property
    def _saved_split(self) -> dict[str, Any]:
        """The split settings of the workspace's manifest, in force until the next ``data split``."""
        return {} if self._resplit else workspace_manifest.saved_split_settings(self.path, self.source)

    @cached_property
    def prepared(self) -> SplitDataset:
        """The dataset, read and split, and the workspace's manifest brought up to it."""
        if not self._dry_run and self.source.holds(self.path):
            raise UsageError(
                f"the workspace {self.path.resolve()} lies in the dataset's folder, which is never written to",
                "Work elsewhere: --workspace DIR, or run this in another folder.",
            )
        prepared = workspace_manifest.load_split(self.source, self.settings.split, self.path, self.reporter)
        self.quarantined = prepared.quarantined
        if not self._dry_run:
            options = {name: value for name, value in self._options.values.items() if name.startswith("split.")}
            workspace_manifest.save(prepared, self.path, {**self._saved_split, **options}, self.reporter)
        return prepared

    @property
    def known_leaks(self) -> Audit:
        """The part of :attr:`audit` that needs no comparison of pictures; writes nothing."""
        from toolbox.data.audit import findings

        return findings.audit_manifest(self.prepared.manifest, None)

    @cached_property
    def audit(self) -> Audit:
        """See :meth:`run_audit`."""
        return self.run_audit()

    def run_audit(self, *, overwrite: bool = False) -> Audit:
        """Find duplicates and leaks between the splits; write ``audit.json`` and ``audit.html``.

        Raises
        ------
        UsageError: toolbox did not write an existing one, and ``overwrite`` is false.
        """
        from toolbox.augment import recipe
        from toolbox.data.audit import findings
        from toolbox.data.audit.near import compare_images

        if not self._dry_run:
            for name in (audits.FILE_NAME, audits.PAGE_NAME):
                check_output(self.path / name, overwrite)
        prepared, settings = self.prepared, self.settings
        rows = prepared.manifest.rows
        comparison = compare_images(rows, prepared.source, self.reporter) if settings.audit.near else None
        audit = findings.audit_manifest(
            prepared.manifest, comparison, recipe.read_copies(self.path, settings, prepared.manifest)
        )
        if not self._dry_run:
            from toolbox.report.audit_page import write_audit_page

            atomic.write_json(self.path / audits.FILE_NAME, audit.document())
            write_audit_page(audit, prepared, self.path / audits.PAGE_NAME, self.reporter)
        return audit

    def canary(self, model: str | Spec = "alzheimer-cnn", epochs: int = 30) -> Canary:
        """Train a small ``model`` on labels shuffled by group, over folds that divide groups and that don't."""
        from toolbox.evaluation.canary import run_canary

        spec = model if isinstance(model, Spec) else parse(model)
        return run_canary(self.prepared, spec, epochs, self.settings, self.registry, self.reporter)

    def plan_augment(self) -> AugmentPlan:
        """Plan :meth:`augment`; write nothing but the manifest."""
        from toolbox.augment import recipe, writer

        planned_recipe = recipe.build_recipe(self.settings, self.prepared.manifest)
        augmenter = self.registry.augmenter(planned_recipe.spec)
        rows = recipe.select_sources(self.settings.split.protocol, self.prepared.manifest)
        cost = writer.estimate(planned_recipe, rows, self.source, augmenter, self.settings.augment.workers)
        return AugmentPlan(planned_recipe, cost, (self.path / recipe.FOLDER / planned_recipe.name).exists())

    def augment(self, out: Path | None = None) -> AugmentResult:
        """Write ``augment.factor`` files for each training image, and none for any other.

        They go to ``augmented/`` in the workspace, where training looks for them, or to the folder ``out``.
        """
        from toolbox.augment import recipe, writer
        from toolbox.plugin.engines import build_engine

        # Report an unknown augmenter before hundreds of photos are read.
        augmenter = self.registry.augmenter(parse(self.settings.augment.augmenter))
        options = self.settings.augment
        with closing(build_engine(self.registry, options.engine, options.workers)) as engine:
            if options.workers or options.factor >= writer.MANY:
                engine.start(writer.WORKER_MODULES)  # while the sources are still being read
            set_recipe = recipe.build_recipe(self.settings, self.prepared.manifest)
            final = out or self.path / recipe.FOLDER / set_recipe.name
            result = writer.write_set(
                set_recipe,
                self.prepared.manifest,
                self.source,
                augmenter,
                final,
                self.reporter,
                engine=engine,
                batch_size=options.batch_size,
            )
        chart = final.with_name(f"{final.name}-classes.png")
        if result.written or not chart.exists():
            from toolbox.report.figures import to_png
            from toolbox.report.plots import files_by_class

            rows = recipe.select_sources(set_recipe.protocol, self.prepared.manifest)
            plot = files_by_class(rows, recipe.count_files(set_recipe, rows))
            atomic.write_bytes(chart, to_png(plot))
        return result

    def preview(self, count: int = 8, path: Path | None = None, *, overwrite: bool = False) -> Path:
        """Draw ``count`` training images and six copies of each into a picture; nothing else is written."""
        from toolbox.augment import recipe
        from toolbox.report import sheets

        target = path or self.path / PREVIEW
        check_output(target, overwrite)
        augmenter = self.registry.augmenter(parse(self.settings.augment.augmenter))
        set_recipe = recipe.build_recipe(self.settings, self.prepared.manifest)
        rows = recipe.select_sources(set_recipe.protocol, self.prepared.manifest)
        spaced = rows[:: max(1, len(rows) // count)][:count]
        sheets.write(sheets.of_preview(set_recipe, spaced, self.source, augmenter), target, overwrite)
        return target

    def verify(self, name: str = "") -> VerifyResult:
        """Verify an augmented set (a name or a folder; by default the only one) against its lineage."""
        from toolbox.augment import recipe, verify

        return verify.verify(recipe.find_set(self.path, name), self.reporter)

    def replay(self, path: Path, out: Path | None = None) -> ReplayResult:
        """Make every file of a lineage again, from the images of this workspace's data, below ``out``."""
        from toolbox.augment import verify
        from toolbox.plugin.engines import build_engine

        set_recipe = verify.recipe_beside(path)
        augmenter = self.registry.augmenter(set_recipe.spec)
        split = self.prepared
        target = out or self.path / "replayed" / path.resolve().parent.name
        engine = build_engine(self.registry, self.settings.augment.engine, self.settings.augment.workers)
        return verify.replay(path, split.manifest, split.source, augmenter, target, self.reporter, engine)

    def plan_prepare(
        self, size: int = 64, channels: str = "keep", format: str = "png", out: str | Path | None = None
    ) -> PreparePlan:
        """Plan :meth:`prepare`: read every image, write nothing."""
        from toolbox.data.prepare import plan

        folder, place = Path(out) if out is not None else None, self.path / plan.FOLDER
        prepare_plan = plan.make_plan(self.source, size, channels, format, folder, place, self.reporter)
        self.quarantined = prepare_plan.index.quarantined
        return prepare_plan

    def prepare(
        self, size: int = 64, channels: str = "keep", format: str = "png", out: str | Path | None = None
    ) -> PrepareResult:
        """Write every image resized to a new folder (``out``, else one in ``prepared/``), with a manifest."""
        from toolbox.data.prepare import run

        return run.write_folder(self.plan_prepare(size, channels, format, out), self.reporter)

    def train(self, model: str | Mapping[str, Any] | Spec) -> Run:
        """Train ``model`` from scratch and evaluate it."""
        return self._train(self._experiment(model, False))

    def finetune(
        self, model: str | Mapping[str, Any] | Spec, *, unfreeze_last: bool = False, unfreeze: str | int = ""
    ) -> Run:
        """Train a new head on the frozen trunk of ``model``, then what the setting ``last.unfreeze`` names.

        ``unfreeze`` replaces that setting: a number of blocks counted from the head, ``"all"``, or names of modules
        (``"layer3,layer4"``). ``unfreeze_last`` is short for ``unfreeze="last"``.
        """
        unfreeze = unfreeze or ("last" if unfreeze_last else "")
        settings = self._resolve(Layer("finetune", {"last.unfreeze": unfreeze})) if unfreeze else self.settings
        return self._train(self._experiment(model, True, settings))

    def resume(self, run: str) -> Run:
        """Resume an interrupted run from its last checkpoint; it ends as if it had not been interrupted.

        Raises
        ------
        UsageError: it is finished, or data, split, settings or weights changed.
        """
        interrupted = self.run(run)
        if interrupted.finished:
            raise UsageError(f"the run {interrupted.id} is finished and can't be resumed", "Repeat it with --from-run.")
        original = self._as_in(interrupted)
        if interrupted.record.status == "trained":
            return original._finish(interrupted)
        experiment = original._experiment_of(interrupted)
        self.quarantined = original.quarantined
        return original._train(experiment, resume=interrupted)

    def repeat(self, run: str) -> Run:
        """Repeat ``run`` as a new run; settings given to this workspace replace its own.

        Raises
        ------
        UsageError: no settings were given, and data, split or weights changed.
        """
        original = self.run(run)
        workspace = self._as_in(original)
        experiment = workspace._experiment_of(original)
        self.quarantined = workspace.quarantined
        return workspace._train(experiment, like=None if self._options.values else original.record)

    def _as_in(self, run: Run) -> Workspace:
        """This workspace with the settings of ``run``; its manifest and audit files are left alone."""
        settings = {**run.record.setting_values, **self._options.values}
        return Workspace(
            self.path,
            settings=settings,
            reporter=self.reporter,
            registry=self.registry,
            command=self.command,
            dry_run=True,
            evaluators=self._evaluators,
        )

    def evaluate(self, run: str = "", *, data: str | Path | None = None, clean: bool = False) -> EvaluationRecord:
        """Evaluate a run again, on its own held-out split or on another dataset (an external test).

        ``clean``: look for leaks in the run's data again, for runs that don't say which images leaked.
        """
        from toolbox.evaluation import apply

        evaluated_run = self.run(run)
        if data is None:
            return apply.evaluate_run(
                evaluated_run, self.path, self._plain_settings, self.registry, self.reporter, find_leaks=clean
            )
        evaluation, self.quarantined = apply.evaluate_external(
            evaluated_run, str(data), self.path, self._plain_settings, self.registry, self.reporter
        )
        return evaluation

    def compare(self, names: Sequence[str], metrics: Sequence[str] = (), margin: float = 0.0) -> ComparisonResult:
        """Compare the runs ``names``: paired statistics and a verdict. The first of ``metrics`` decides (accuracy).

        ``margin``: see :func:`toolbox.evaluation.compare.compare`.
        """
        from toolbox.evaluation.compare import compare

        return compare([self.run(name) for name in names], metrics, margin)

    def predict(self, run: str, images: Sequence[str | Path], *, limit: int | None = None) -> Predictions:
        """What a run says of ``images``: files, folders (to any depth) and patterns, the first ``limit`` of them.

        Raises
        ------
        UsageError: no such run or file, a folder or pattern without images, or a run that can't be loaded.
        """
        from toolbox.models import predict

        trained_run = self.run(run)
        paths = list_images(images)[:limit]
        predictor = predict.load(trained_run, self.registry, self._plain_settings)
        return Predictions(trained_run, predictor.classes, paths, predictor.files(paths))

    def export(
        self, run: str, form: str = "safetensors", out: str | Path | None = None, *, overwrite: bool = False
    ) -> Exported:
        """Write a run's model as one file (safetensors, torch-export, onnx), checked before it is put in place."""
        from toolbox.models.export import export

        return export(self.run(run), form, Path(out) if out is not None else None, self.registry, overwrite)

    def report(
        self,
        names: Sequence[str] = (),
        output: Path | None = None,
        *,
        images: bool = True,
        form: str = "html",
        overwrite: bool = False,
    ) -> Path:
        """Write one file on the runs ``names`` (all finished ones), and each run's figures beside it.

        ``form``: ``html``, or ``md`` or ``json`` for other programs. Without ``images`` no picture of the data is in
        it, for reports you share.

        Raises
        ------
        UsageError: no such run or form, or a file that toolbox did not write is in the way (see ``overwrite``).
        """
        inputs = self.report_inputs(names, output, images=images)
        return self.write_report(inputs, output, form, overwrite=overwrite)

    def report_inputs(
        self, names: Sequence[str] = (), output: Path | None = None, *, images: bool = True
    ) -> ReportInputs:
        """What a report on the runs ``names`` would show."""
        from toolbox.report.gather import gather

        beside = (output or self.path / REPORT).parent
        return gather(self.path, self.chosen_runs(names), self.registry, images, beside)

    def write_report(
        self, inputs: ReportInputs, output: Path | None = None, form: str = "html", *, overwrite: bool = False
    ) -> Path:
        """Write what :meth:`report_inputs` gave, and the figures of its runs."""
        from toolbox.report import figures, formats, plots

        formats.check(form)
        for view in inputs.runs:
            if view.figures_folder is not None:
                figures.save(plots.of_run(view).all, view.figures_folder)
        path = output or self.path / Path(REPORT).with_suffix(f".{form}")
        formats.write(inputs, path, form, overwrite)
        return path

    def chosen_runs(self, names: Sequence[str] = ()) -> list[Run]:
        """The runs that ``names`` name; without names every finished one.

        Raises
        ------
        UsageError: there is none.
        """
        if names:
            return [self.run(name) for name in names]
        finished = [run for run in list_runs(self.path) if run.finished]
        return finished or [self.run("")]

    def run(self, name: str = "") -> Run:
        """The run ``name``; the newest finished one without a name."""
        return find_run(self.path, name)

    def plan_training(
        self,
        model: str | Mapping[str, Any] | Spec,
        *,
        finetune: bool,
    ) -> dict[str, Any]:
        """Plan :meth:`train` or :meth:`finetune`, with time and disk; train nothing."""
        from toolbox.training.plan import plan

        return plan(self._experiment(model, finetune))

    @property
    def _plain_settings(self) -> Settings:
        """The settings without those of a dataset, for what needs none."""
        return self._evaluated(layers.resolve([*self._file_layers, self._options]))

    def _evaluated(self, settings: Settings) -> Settings:
        """``settings`` with the further evaluators that this workspace was given."""
        names = {parse(spec).name for spec in self._evaluators}
        rest = [spec for spec in settings.evaluators if parse(spec).name not in names]
        return settings.model_copy(update={"evaluators": [*rest, *self._evaluators]})

    def _train(self, experiment: Experiment, *, resume: Run | None = None, like: RunRecord | None = None) -> Run:
        from toolbox.training.experiment import train

        run = train(experiment, self.reporter, resume=resume, like=like)
        try:
            self._finish(run)
        except BaseException:
            experiment.trackers.ended(run.record.updated(status="failed").document())
            raise
        if not self._follows:
            experiment.trackers.ended(run.record.document(), run.evaluation.document())
        return run

    def _finish(self, run: Run) -> Run:
        """Evaluate a trained run and mark it as finished."""
        from toolbox.evaluation import apply

        if self._follows:
            return run
        apply.evaluate_run(run, self.path, self._plain_settings, self.registry, self.reporter)
        run.save_record(run.record.updated(status="finished", result=dict(run.metrics)))
        return run

    def _experiment(
        self, model: str | Mapping[str, Any] | Spec, finetune: bool, settings: Settings | None = None
    ) -> Experiment:
        from toolbox.training import stages
        from toolbox.training.session import Experiment

        spec = model if isinstance(model, Spec) else parse(model)
        # Report unknown names before anything is read or trained.
        self.registry.model(spec)
        settings = settings or self.settings
        stages.plan_stages(settings, finetune)
        evaluators = [self.registry.evaluator(parse(given)) for given in self.settings.evaluators]
        if not evaluators:
            raise UsageError("no evaluators", 'Set evaluators = ["classification"].')
        specs = [] if self._follows else self.settings.training.trackers
        run_trackers = trackers.build_trackers(specs, self.registry, self.reporter)
        from toolbox.data.audit import gate

        leaks_on_purpose = self.settings.split.protocol == "augment-then-split"
        gate.check(
            self.audit,
            allowed=self.settings.audit.allow_leaks,
            on_purpose=leaks_on_purpose,
            reporter=self.reporter,
        )
        return Experiment(
            spec,
            settings,
            self.prepared,
            self.path,
            self.registry,
            finetune,
            self.command,
            leaks=self.audit.counts(),
            leaky=leaks_on_purpose or bool(self.audit.leaks),
            comparison=self.audit.comparison,
            trackers=run_trackers,
        )

    def _experiment_of(self, run: Run) -> Experiment:
        return self._experiment(run.record.model, run.record.kind == "finetune")


def init(path: Path, data: str, overwrite: bool = False) -> Path:
    """Write a ``toolbox.toml`` for ``data`` into ``path``.

    Raises
    ------
    UsageError: there is one already.
    """
    from toolbox.settings.template import render

    file = path / layers.FILE_NAME
    if file.exists() and not overwrite:
        raise UsageError(f"{file} already exists", "Edit it, or pass --force to overwrite it.")
    atomic.write_text(file, render(data))
    return file
