"""What ``run.json`` and ``evaluation.json`` hold at least: checked once when they are read, as people edit files.

More keys may stand there; these are what the toolbox itself relies on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from toolbox.api.errors import UsageError

Json = dict[str, Any]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Request(_Checked):
    classes: int
    channels: int
    size: int
    head: str
    pretrained: bool


class _Data(_Checked):
    spec: str
    note: str
    fingerprint: str
    split_fingerprint: str
    classes: list[str]
    counts: dict[str, dict[str, int]]
    quarantined: int


class Record(_Checked):
    """``run.json``."""

    status: str
    command: str
    kind: str
    model: str
    config: Json
    request: _Request
    weights: str
    mean: list[float]
    std: list[float]
    train_on: str
    augmented_set: str
    augmented_recipe: Json | None
    data: _Data
    leaky: bool
    seed: int
    device: str
    versions: dict[str, str]
    stages: list[Json] = []
    seconds: float = 0


class _Metric(_Checked):
    value: float | None
    low: float | None
    high: float | None


class _Table(_Checked):
    name: str
    title: str
    columns: list[str]
    rows: list[list[str | float | None]]


class _Figure(_Checked):
    name: str
    title: str
    kind: str
    alt: str
    series: list[Json]
    rows: list[str]
    columns: list[str]
    values: list[list[float]]


class EvaluationRecord(_Checked):
    """``evaluation.json``."""

    run: str
    model: str
    split: str
    held_out: bool
    n: int
    metrics: dict[str, _Metric]
    classes: list[str]
    leaky: bool
    weights: str
    train_on: str
    note: str
    tables: list[_Table]
    figures: list[_Figure]
    galleries: list[Json] = []
    notes: list[str] = []
    confusion_matrix: list[list[int]] = []
    group_confusion_matrix: list[list[int]] = []


def migrate_record(document: Json) -> Json:
    """The ``run.json`` of an older version as this one writes it.

    Before ``last.unfreeze`` was a setting, ``unfreeze`` and, before that, ``unfreeze_last`` stood beside ``config``.
    """
    config = document.get("config")
    last = config.get("last") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(last, dict) or "unfreeze" in last:
        return document
    unfreeze = document.get("unfreeze", "last" if document.get("unfreeze_last") else "") or "none"
    document = {name: value for name, value in document.items() if name not in ("unfreeze", "unfreeze_last")}
    return {**document, "config": {**config, "last": {**last, "unfreeze": unfreeze}}}


def check(document: Mapping[str, Any], schema: type[BaseModel], path: Path) -> None:
    """Refuse a ``document`` that is not what ``schema`` says.

    Raises
    ------
    UsageError: what is wrong first, and where.
    """
    try:
        schema.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{path} is damaged at {where}: {first['msg']}", "Was it edited? Evaluate the run again, or train it anew."
        ) from error
