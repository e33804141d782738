"""Everything that can be done in a workspace.

The commands are thin over this class, and a notebook uses it directly::

    from toolbox import Workspace

    ws = Workspace("study", data="cats_dogs", settings={"augment.factor": 5})
    ws.augment()
    run = ws.finetune("efficientnet-lite0", unfreeze_last=True)
    print(run.metrics["accuracy"])
    ws.report()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolbox.plugin.spec import Spec, parse
from toolbox.runs.folder import Run, find_runs
from toolbox.workspace.data import WorkspaceData

if TYPE_CHECKING:
    from toolbox.augment.plan import AugmentPlan
    from toolbox.augment.verify import ReplayResult, VerifyResult
    from toolbox.augment.writer import AugmentResult
    from toolbox.data.prepare.plan import PreparePlan
    from toolbox.data.prepare.run import PrepareResult
    from toolbox.evaluation.canary import Canary
    from toolbox.evaluation.compare import ComparisonResult
    from toolbox.models.export import Exported
    from toolbox.models.predict import Predictions
    from toolbox.report.inputs import ReportInputs
    from toolbox.runs.evaluation import EvaluationRecord

REPORT, PREVIEW = "report.html", "preview.png"
Model = str | Mapping[str, Any] | Spec


class Workspace(WorkspaceData):
    """A folder to work in: see :class:`WorkspaceData` for its parameters, its settings and its data."""

    def canary(self, model: Model = "alzheimer-cnn", epochs: int = 30) -> Canary:
        """Train a small ``model`` on labels shuffled by group, over folds that divide groups and that don't."""
        from toolbox.evaluation.canary import run_canary

        return run_canary(self.split, parse(model), epochs, self.settings, self.registry, self.reporter)

    def plan_augment(self) -> AugmentPlan:
        """Plan :meth:`augment`, with time and disk; write nothing."""
        from toolbox.augment.plan import plan_set

        return plan_set(self.settings, self.split, self.path, self.registry)

    def augment(self, out: Path | None = None) -> AugmentResult:
        """Write ``augment.factor`` files for each training image, and none for any other.

        They go to ``augmented/`` in the workspace, where training looks for them, or to the folder ``out``.
        """
        from toolbox.augment.writer import augment
        from toolbox.report.augmentation import write_class_chart

        result = augment(self.settings, self.save_split, self.path, out, self.registry, self.reporter)
        write_class_chart(result, self.split.manifest)
        return result

    def preview(self, count: int = 8, path: Path | None = None, *, overwrite: bool = False) -> Path:
        """Draw ``count`` training images and six copies of each into a picture; nothing else is written."""
        from toolbox.report.augmentation import write_preview

        target = path or self.path / PREVIEW
        write_preview(self.settings, lambda: self.split, count, target, self.registry, overwrite)
        return target

    def verify(self, name: str = "") -> VerifyResult:
        """Verify an augmented set (a name or a folder; by default the only one) against its lineage."""
        from toolbox.augment import recipe, verify

        return verify.verify(recipe.find_set(self.path, name), self.reporter)

    def replay(self, path: Path, out: Path | None = None) -> ReplayResult:
        """Write every file of a lineage again, from the images of this workspace's data, below ``out``."""
        from toolbox.augment.verify import replay

        target = out or self.path / "replayed" / path.resolve().parent.name
        return replay(path, lambda: self.split, target, self.settings.augment, self.registry, self.reporter)

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

    def plan_training(self, model: Model, *, finetune: bool) -> dict[str, Any]:
        """Plan :meth:`train` or :meth:`finetune`, with time and disk; train and write nothing."""
        from toolbox.training.plan import plan
        from toolbox.workspace.lifecycle import plan_run

        return plan(plan_run(self, model, finetune))

    def train(self, model: Model) -> Run:
        """Train ``model`` from scratch and evaluate it."""
        from toolbox.workspace import lifecycle

        return lifecycle.train(self, model, finetune=False)

    def finetune(self, model: Model, *, unfreeze_last: bool = False, unfreeze: str | int = "") -> Run:
        """Train a new head on the frozen trunk of ``model``, then what the setting ``last.unfreeze`` names.

        ``unfreeze`` replaces that setting: a number of blocks counted from the head, ``"all"``, or names of modules
        (``"layer3,layer4"``). ``unfreeze_last`` is short for ``unfreeze="last"``.
        """
        from toolbox.workspace import lifecycle

        return lifecycle.train(self, model, finetune=True, unfreeze=unfreeze or ("last" if unfreeze_last else ""))

    def resume(self, run: str) -> Run:
        """Resume an interrupted run from its last checkpoint; it ends as if it had not been interrupted.

        Raises
        ------
        UsageError: it is finished, or data, split, settings or weights changed.
        """
        from toolbox.workspace import lifecycle

        return lifecycle.resume(self, self.run(run))

    def repeat(self, run: str) -> Run:
        """Repeat ``run`` as a new run; settings given to this workspace replace its own.

        Raises
        ------
        UsageError: no settings were given, and data, split or weights changed.
        """
        from toolbox.workspace import lifecycle

        return lifecycle.repeat(self, self.run(run))

    def evaluate(self, run: str = "", *, data: str | Path | None = None, clean: bool = False) -> EvaluationRecord:
        """Evaluate a run again, on its own held-out split or on another dataset (an external test).

        ``clean``: look for leaks in the run's data again, for runs that don't say which images leaked.
        """
        from toolbox.evaluation import apply

        evaluated_run, context = self.run(run), (self.path, self.plain_settings, self.registry, self.reporter)
        if data is None:
            return apply.evaluate_run(evaluated_run, *context, find_leaks=clean)
        evaluation, self.quarantined = apply.evaluate_external(evaluated_run, str(data), *context)
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
        from toolbox.models.predict import predict_images

        return predict_images(self.run(run), images, limit, self.registry, self.plain_settings)

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
        return gather(self.path, find_runs(self.path, names), self.registry, images, beside)

    def write_report(
        self, inputs: ReportInputs, output: Path | None = None, form: str = "html", *, overwrite: bool = False
    ) -> Path:
        """Write what :meth:`report_inputs` gave, and the figures of its runs."""
        from toolbox.report import formats

        path = output or self.path / Path(REPORT).with_suffix(f".{form}")
        formats.write(inputs, path, form, overwrite)
        return path
