"""The folder, the settings and the data of a workspace. Reading a property writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from toolbox.api.progress import Reporter, SilentReporter
from toolbox.data import manifest, workspace_manifest
from toolbox.data.index import QuarantinedSample
from toolbox.data.source import Source, open_source
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.runs.folder import Run, find_run
from toolbox.settings import environment, layers
from toolbox.settings.layers import Layer
from toolbox.settings.schema import ComponentSpec, Settings

if TYPE_CHECKING:
    from toolbox.data.audit.findings import Audit


class WorkspaceData:
    """A folder to work in, with its settings resolved.

    Parameters
    ----------
    path: the folder, created when something is first written.
    data: as ``--data``: a folder, a manifest file, or a dataset component spec.
    settings: by dotted name, over those of ``toolbox.toml``.
    reporter: receives progress and messages.
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
        resplit: bool = False,
        evaluators: Sequence[ComponentSpec] = (),
    ) -> None:
        self.path = Path(path)
        self.reporter = reporter or SilentReporter()
        self.registry = registry or Registry()
        self.command = command
        self._resplit = resplit
        self._evaluators = list(evaluators)
        file = self.path / layers.FILE_NAME
        self._file_layers: list[Layer] = [layers.from_file(file)] if file.is_file() else []
        values = {**(settings or {}), **({} if data is None else {"data": str(data)})}
        self.options = layers.from_names("command line", values)
        """The settings given here."""
        self.quarantined: tuple[QuarantinedSample, ...] = ()
        """Samples that could not be read in the datasets opened so far."""

    @cached_property
    def source(self) -> Source:
        """The opened dataset."""
        data = layers.resolve([*self._file_layers, self.options]).data
        if not any("data" in layer.values for layer in (*self._file_layers, self.options)):
            self.reporter.info(f"no --data and no {layers.FILE_NAME} with 'data': using the embedded dataset {data!r}")
        source = open_source(data, self.registry)
        if source.dataset.note:
            self.reporter.info(f"{source.spec}: {source.dataset.note}")
        return source

    @cached_property
    def settings(self) -> Settings:
        """All settings: defaults < dataset < toolbox.toml < saved split < options."""
        return self.resolve_settings()

    @cached_property
    def split(self) -> SplitDataset:
        """The dataset, split as the workspace's manifest says while that is current, else as the settings say."""
        split = workspace_manifest.load_split(self.source, self.settings.split, self.path, self.reporter)
        self.quarantined = split.quarantined
        return split

    @cached_property
    def audit(self) -> Audit:
        """Duplicates, and leaks between the splits."""
        from toolbox.augment.recipe import read_copies
        from toolbox.data.audit.findings import audit_manifest
        from toolbox.data.audit.near import compare_images

        settings, table = self.settings, self.split.manifest
        comparison = compare_images(table.rows, self.source, self.reporter) if settings.audit.near else None
        return audit_manifest(table, comparison, read_copies(self.path, settings, table))

    def save_split(self) -> SplitDataset:
        """Write :attr:`split` to ``manifest.csv`` and ``quarantine.csv``, unless they already say the same.

        Raises
        ------
        UsageError: the workspace lies in the dataset's folder, or its manifest was edited by hand.
        """
        workspace_manifest.check_place(self.path, self.source)
        if environment.rank() == 0:
            options = {name: value for name, value in self.options.values.items() if name.startswith("split.")}
            workspace_manifest.save(self.split, self.path, {**self._saved_split, **options}, self.reporter)
        return self.split

    def save_audit(self, *, overwrite: bool = False) -> Audit:
        """Write :attr:`audit` to ``audit.json`` and ``audit.html``.

        Raises
        ------
        UsageError: toolbox did not write an existing one, and ``overwrite`` is false.
        """
        from toolbox.report.audit_page import check_audit_files, write_audit_files

        workspace_manifest.check_place(self.path, self.source)
        if environment.rank() == 0:
            check_audit_files(self.path, overwrite)
            write_audit_files(self.audit, self.split, self.path, self.reporter)
        return self.audit

    def run(self, name: str = "") -> Run:
        """The run ``name``; the newest finished one without a name."""
        return find_run(self.path, name)

    def with_settings_of(self, run: Run) -> Self:
        """This workspace with the settings of ``run`` below those given here."""
        return type(self)(
            self.path,
            settings={**run.record.setting_values, **self.options.values},
            reporter=self.reporter,
            registry=self.registry,
            command=self.command,
            evaluators=self._evaluators,
        )

    @cached_property
    def _saved_split(self) -> dict[str, Any]:
        """The split settings of the workspace's manifest, in force until the next ``data split``."""
        return {} if self._resplit else workspace_manifest.saved_split_settings(self.path, self.source)

    @property
    def plain_settings(self) -> Settings:
        """The settings without those of a dataset, for what needs none."""
        return self._with_evaluators(layers.resolve([*self._file_layers, self.options]))

    def resolve_settings(self, *more: Layer) -> Settings:
        """All settings, with ``more`` on top."""
        suggested = layers.from_names(f"dataset {self.source.spec}", self.source.dataset.suggestions)
        split = layers.from_names(manifest.FILE_NAME, self._saved_split)
        return self._with_evaluators(layers.resolve([suggested, *self._file_layers, split, self.options, *more]))

    def _with_evaluators(self, settings: Settings) -> Settings:
        """``settings`` with the further evaluators that this workspace was given."""
        names = {parse(spec).name for spec in self._evaluators}
        rest = [spec for spec in settings.evaluators if parse(spec).name not in names]
        return settings.model_copy(update={"evaluators": [*rest, *self._evaluators]})
