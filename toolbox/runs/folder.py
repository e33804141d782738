"""A run's folder, ``runs/<number>-<model>``, and the runs of a workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolbox.api.errors import EnvironmentFailure, UsageError, closest
from toolbox.files import atomic
from toolbox.files.names import safe_name

if TYPE_CHECKING:
    from toolbox.api.evaluator import Metric
    from toolbox.runs.evaluation import EvaluationRecord
    from toolbox.runs.record import RunRecord

FOLDER = "runs"
RUN = "run.json"
HISTORY = "metrics.jsonl"
PREDICTIONS = "predictions.csv"
EVALUATION = "evaluation.json"
MODEL = "model.safetensors"
MANIFEST = "manifest.csv"
EXPORT = "export"
FIGURES = "figures"
CHECKPOINT = "checkpoint"

_TRAIN_ONE = "Train one: 'toolbox finetune …'."


@dataclass(frozen=True)
class Run:
    """One training, in its folder. Files are read when they are first needed."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @cached_property
    def record(self) -> RunRecord:
        """``run.json``.

        Raises
        ------
        UsageError: it is missing or damaged; so do the other files' properties.
        """
        from toolbox.runs.record import RunRecord

        return RunRecord.read(self.path / RUN)

    @cached_property
    def evaluation(self) -> EvaluationRecord:
        """``evaluation.json``."""
        from toolbox.runs.evaluation import EvaluationRecord

        return EvaluationRecord.read(self.path / EVALUATION)

    def external_evaluations(self) -> list[EvaluationRecord]:
        """``evaluation-*.json``: those on other datasets."""
        from toolbox.runs.evaluation import EvaluationRecord

        return [EvaluationRecord.read(path) for path in sorted(self.path.glob("evaluation-*.json"))]

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The evaluation's metrics by name."""
        return self.evaluation.metrics

    @property
    def finished(self) -> bool:
        """Whether it is trained and evaluated."""
        try:
            return self.record.status == "finished"
        except UsageError:
            return False

    def save_record(self, record: RunRecord) -> None:
        """Write ``run.json``."""
        record = record.updated(id=self.id)
        record.write(self.path / RUN)
        self.__dict__["record"] = record

    def save_evaluation(self, evaluation: EvaluationRecord, tag: str = "") -> None:
        """Write ``evaluation.json``, or with a ``tag`` ``evaluation-<tag>.json``."""
        evaluation.write(self.path / (f"evaluation-{tag}.json" if tag else EVALUATION))
        if not tag:
            self.__dict__["evaluation"] = evaluation

    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, one for each epoch, up to the first one that is damaged."""
        path = self.path / HISTORY
        if not path.exists():
            return []
        lines = []
        for text in path.read_text("utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                break
            if not isinstance(line, dict):
                break
            lines.append(line)
        return lines

    def append_history(self, line: Mapping[str, Any]) -> None:
        """Add an epoch to ``metrics.jsonl``."""
        path = self.path / HISTORY
        with atomic.translate_os_errors("write", path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def write_history(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Replace ``metrics.jsonl``."""
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        atomic.write_text(self.path / HISTORY, text)


def create_run(workspace: Path, model: str, record: RunRecord) -> Run:
    """Create a folder, with the next free number, and its first ``run.json``.

    Raises
    ------
    EnvironmentFailure: it can't be written.
    """
    folder = atomic.make_folder(workspace / FOLDER)
    number = 1 + max((_number(path.name) for path in folder.iterdir()), default=0)
    while True:
        path = folder / f"{number:03d}-{safe_name(model)}"
        try:
            with atomic.translate_os_errors("create the folder", path):
                # Creating the folder claims the number: two trainings at once get two.
                path.mkdir()
            break
        except EnvironmentFailure as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            number += 1
    run = Run(path)
    run.save_record(record)
    return run


def list_runs(workspace: Path) -> list[Run]:
    """The workspace's runs, oldest first: folders with a ``run.json``."""
    folder = workspace / FOLDER
    if not folder.is_dir():
        return []
    return [Run(path) for path in sorted(folder.iterdir()) if (path / RUN).is_file()]


def find_run(workspace: Path, name: str = "") -> Run:
    """The run with this id, number or path; without a name the newest finished one.

    Raises
    ------
    UsageError: there is none.
    """
    runs = list_runs(workspace)
    if not name:
        finished = [run for run in runs if run.finished]
        if not finished:
            raise UsageError(f"there is no finished run in {workspace / FOLDER}", _TRAIN_ONE)
        return finished[-1]
    if (Path(name) / RUN).is_file():
        return Run(Path(name))
    for run in runs:
        if run.id == name or (name.isdecimal() and _number(run.id) == int(name)):
            return run
    hint = closest(name, [run.id for run in runs]) if runs else _TRAIN_ONE
    raise UsageError(f"there is no run {name!r} in {workspace / FOLDER}", hint)


def find_runs(workspace: Path, names: Sequence[str] = ()) -> list[Run]:
    """The runs that ``names`` name; without names every finished one.

    Raises
    ------
    UsageError: there is none.
    """
    if names:
        return [find_run(workspace, name) for name in names]
    return [run for run in list_runs(workspace) if run.finished] or [find_run(workspace)]


def _number(name: str) -> int:
    digits = name.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0
