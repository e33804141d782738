"""A study: the file, its plan, and what has become of it. The commands are thin over this class::

from toolbox import Study

study = Study("quick", workspace="work")
for outcome in study.run():
    print(outcome.planned.name, outcome.entry.status)
print(study.results().cells)
study.report()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolbox.api.progress import Reporter, SilentReporter
from toolbox.plugin.registry import Registry
from toolbox.runs.folder import Run
from toolbox.settings import layers
from toolbox.settings.layers import Layer
from toolbox.study import file as files
from toolbox.study import runner
from toolbox.study.builtin import find_study
from toolbox.study.file import StudyFile
from toolbox.study.ledger import Entry
from toolbox.study.plan import Plan, make

if TYPE_CHECKING:
    from toolbox.study.estimate import StudyEstimate
    from toolbox.study.results import Results
    from toolbox.study.runner import Outcome


class Study:
    """A study file in a workspace; its runs lie in ``studies/<name>/`` there.

    Parameters
    ----------
    file: the study file (TOML), or the name of a built-in study.
    workspace: the folder to work in; its ``toolbox.toml`` holds for what the study does not set.
    data: another dataset than the file's, as ``--data``.
    settings: by dotted name, over those of the file.

    Raises
    ------
    UsageError: the file, a setting or a model is not what it should be.
    """

    def __init__(
        self,
        file: str | Path,
        *,
        workspace: str | Path = ".",
        data: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
        registry: Registry | None = None,
        command: str = "",
    ) -> None:
        self.workspace = Path(workspace)
        self.reporter = reporter or SilentReporter()
        self.registry = registry or Registry()
        self.command = command
        self.file: StudyFile = files.read(find_study(file))
        self._data = str(data) if data is not None else None
        self._given = layers.from_names("command line", dict(settings or {}))

    @property
    def folder(self) -> Path:
        """Where the study is kept."""
        return self.workspace / runner.FOLDER / self.file.name

    @cached_property
    def plan(self) -> Plan:
        """Every run, in order; nothing is run."""
        own = self.workspace / layers.FILE_NAME
        below: list[Layer] = [layers.from_file(own)] if own.is_file() else []
        return make(self.file, below, self._given, self.registry, self._data)

    def estimate(self) -> StudyEstimate:
        """How long the whole study would take, and how much disk; writes nothing."""
        from toolbox.study.estimate import estimate

        return estimate(self.plan, self.folder / runner.SPLITS, self.registry, self.reporter)

    def run(self, jobs: int = 1) -> Iterator[Outcome]:
        """Run what is not finished yet; each outcome as it comes. A run that fails does not stop the others."""
        return runner.run(self.plan, self.folder, self.reporter, jobs, self.command)

    def status(self) -> dict[str, Entry]:
        """The last that is known of each run, by key; see :func:`runner.status`."""
        return runner.status(self.plan, self.folder)

    def finished(self) -> dict[str, Run]:
        """The finished runs, by key."""
        return runner.finished(self.plan, self.folder)

    def results(self) -> Results:
        """What the finished runs say: each arm over its seeds and folds, and the comparisons that were asked for."""
        from toolbox.study.results import gather

        return gather(self.plan, self.finished(), self.status())

    def report(self, output: Path | None = None, *, overwrite: bool = False) -> Path:
        """Write the study's page: arms, comparisons, and what every run was."""
        from toolbox.report.study_page import write_study_page

        path = output or self.folder / "report.html"
        write_study_page(self.file, self.results(), path, overwrite)
        return path
