"""A run on disk: one training with its resolved configuration, its metrics, its predictions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolbox.api.errors import EnvironmentFailure, UsageError, closest
from toolbox.files import atomic
from toolbox.files.names import safe_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FOLDER = "runs"
RUN = "run.json"
HISTORY = "metrics.jsonl"
PREDICTIONS = "predictions.csv"
EVALUATION = "evaluation.json"
MODEL = "model.safetensors"
MANIFEST = "manifest.csv"
EXPORT = "export"
FIGURES = "figures"
ROW_FIELDS = ("id", "path", "label", "group", "split", "pixels")
"""What ``predictions.csv`` says of a sample; ``pixels`` is the hash of the decoded image."""
CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Run:
    """A run's folder. What it holds is read when asked for."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @cached_property
    def record(self) -> dict[str, Any]:
        """``run.json``, checked.

        Raises
        ------
        UsageError: it is missing, or not what it should be.
        """
        from toolbox.runs import schema

        document = schema.migrate_record(read_json(self.path / RUN))
        schema.check(document, schema.Record, self.path / RUN)
        return document

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """``evaluation.json``, checked as ``run.json`` is."""
        from toolbox.runs import schema

        document = read_json(self.path / EVALUATION)
        schema.check(document, schema.EvaluationRecord, self.path / EVALUATION)
        return document

    @property
    def finished(self) -> bool:
        """Whether it came to its end; a run whose ``run.json`` was cut off did not."""
        try:
            return self.record.get("status") == "finished"
        except UsageError:
            return False

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """The evaluation's metrics: name to value, low and high."""
        return dict(self.evaluation["metrics"])

    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, one an epoch; a last line that was cut off is left out."""
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


def create(workspace: Path, model: str, record: Mapping[str, Any]) -> Run:
    """A new run's folder, ``runs/<number>-<model>``, with its first ``run.json``.

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
                # Making the folder is what claims the number, so two trainings at once get two.
                path.mkdir()
            break
        except EnvironmentFailure as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            number += 1
    run = Run(path)
    save(run, record)
    return run


def save(run: Run, record: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    atomic.write_json(run.path / RUN, {"id": run.id, **record})
    run.__dict__.pop("record", None)


def append_history(run: Run, line: Mapping[str, Any]) -> None:
    """Add an epoch to ``metrics.jsonl``."""
    path = run.path / HISTORY
    with atomic.translate_os_errors("write", path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")


def write_history(run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
    """Put ``lines`` in the place of all that ``metrics.jsonl`` holds."""
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    atomic.write_text(run.path / HISTORY, text)


def settings_of(run: Run) -> dict[str, Any]:
    """The settings that a run was made with, by dotted name.

    Raises
    ------
    UsageError: its record has none.
    """
    config = run.record.get("config")
    if not isinstance(config, dict):
        raise UsageError(f"{run.path / RUN} holds no settings")
    return flat(config)


def without_onlookers(config: Mapping[str, Any]) -> dict[str, Any]:
    """A record's ``config`` without those who look on: what they see does not hang on them."""
    training = config.get("training")
    kept = {name: value for name, value in config.items() if name != "evaluators"}
    if isinstance(training, dict):
        kept["training"] = {name: value for name, value in training.items() if name != "trackers"}
    return kept


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a record's ``config`` by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": item for key, item in value.items()})
        else:
            flat[name] = value
    return flat


def all_of(workspace: Path) -> list[Run]:
    """The workspace's runs that have a ``run.json``, oldest first."""
    folder = workspace / FOLDER
    if not folder.is_dir():
        return []
    return [Run(path) for path in sorted(folder.iterdir()) if (path / RUN).is_file()]


def find(workspace: Path, name: str = "") -> Run:
    """The run that ``name`` (its id, number, or path) names; without a name the newest finished one.

    Raises
    ------
    UsageError: there is none.
    """
    runs = all_of(workspace)
    if not name:
        finished = [run for run in runs if run.finished]
        if not finished:
            raise UsageError(f"there is no finished run in {workspace / FOLDER}", "Train one: 'toolbox finetune …'.")
        return finished[-1]
    if (Path(name) / RUN).is_file():
        return Run(Path(name))
    for run in runs:
        if run.id == name or (name.isdecimal() and _number(run.id) == int(name)):
            return run
    hint = closest(name, [run.id for run in runs]) if runs else "Train one: 'toolbox finetune …'."
    raise UsageError(f"there is no run {name!r} in {workspace / FOLDER}", hint)


def write_predictions(
    run_path: Path, rows: Sequence[Mapping[str, str]], probabilities: npt.NDArray[np.float64], classes: Sequence[str]
) -> None:
    """Write ``predictions.csv``: id, path, label, group, split, pixels, prediction, and a probability for each class.

    What ``rows`` don't hold of :data:`ROW_FIELDS` stays empty.

    Probabilities are written so that reading gives the same float64 back.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*ROW_FIELDS, "prediction", *(f"p:{name}" for name in classes)])
    for row, values in zip(rows, probabilities, strict=True):
        fixed = [row.get(name, "") for name in ROW_FIELDS]
        writer.writerow([*fixed, classes[int(values.argmax())], *(repr(float(value)) for value in values)])
    atomic.write_text(run_path, buffer.getvalue())


def read_predictions(path: Path) -> Iterator[dict[str, str]]:
    """The lines of a ``predictions.csv``."""
    try:
        with atomic.translate_os_errors("read", path), path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no file of predictions: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run's.

    Raises
    ------
    UsageError: there is none.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no {path}", "Did the run come to its end?") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds no JSON object")
    return document


def _number(name: str) -> int:
    digits = name.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0
