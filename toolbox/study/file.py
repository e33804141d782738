"""A study file: a table of runs as TOML. Base settings, named arms, a matrix, seeds, folds, comparisons.

::

    name = "quick"
    question = "does augmentation help?"
    seeds = [0, 1, 2]

    [base]                                   # settings, as toolbox.toml has them, and which model to train how
    data = "phantom"
    method = "train"                         # or "finetune"
    model = "alzheimer-cnn"
    training.epochs = 20

    [arms.originals]
    [arms.augmented]
    training.train_on = "augmented"

    [matrix]                                 # every combination of these, for each arm
    "split.protocol" = ["split-then-augment", "augment-then-split"]

    [[exclude]]
    arm = "originals"
    "split.protocol" = "augment-then-split"

    [[compare]]
    a = "originals"
    b = "augmented"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from toolbox.api.errors import UsageError, closest
from toolbox.files.names import safe_name
from toolbox.plugin.schema import explain
from toolbox.settings.layers import flattened, from_names, paths_beside, read_toml
from toolbox.statistics.compare import check_metric

EXPERIMENT = ("method", "model", "epochs")
"""What an arm may say beside settings: how to train, which model, and ``epochs`` of every stage."""

Values = dict[str, Any]


class Comparison(BaseModel):
    """Two arms to compare on one metric, ``a`` and ``b`` by name; any other key narrows a factor of the matrix."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    a: str
    b: str
    metric: str = "accuracy"

    @property
    def where(self) -> Mapping[str, Any]:
        """The factors that are narrowed, and to which value."""
        return self.model_extra or {}


class StudyFile(BaseModel):
    """What a study file says. Values are dotted names: those of settings, and of :data:`EXPERIMENT`."""

    model_config = ConfigDict(frozen=True, strict=True)

    path: Path
    name: str = ""
    title: str = ""
    question: str = ""
    expect: str = ""
    base: Values = {}
    arms: dict[str, Values] = {"all": {}}
    matrix: dict[str, list[Any]] = {}
    exclude: list[Values] = []
    seeds: list[int] = Field([0], min_length=1)
    folds: int = Field(0, ge=0)
    compare: list[Comparison] = []

    @field_validator("seeds", mode="before")
    @classmethod
    def _check_seeds(cls, value: Any) -> list[Any]:
        seeds = value if isinstance(value, list) else [value]
        if len(set(map(str, seeds))) != len(seeds):
            raise ValueError("write different whole numbers, for example seeds = [0, 1, 2]")
        return seeds

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, value: int) -> int:
        if value == 1:
            raise ValueError("write folds = 5, or 0 for one split")
        return value


def read(path: Path) -> StudyFile:
    """The study in ``path``.

    Raises
    ------
    UsageError: no TOML, an unknown key (the closest one is named), a bad value, a comparison of unknown arms.
    """
    table = read_toml(path, "study file")
    keys = [key for key in StudyFile.model_fields if key != "path"]
    for key in table:
        if key not in keys:
            raise UsageError(f"{path}: no key of a study is called {key!r}", closest(key, keys))
    try:
        study = StudyFile(**{key: value for key, value in table.items() if value != {}}, path=path)
    except ValidationError as error:
        raise UsageError(f"{path}: {explain(error)}") from error
    matrix = _matrix(study)
    for comparison in study.compare:
        for arm in (comparison.a, comparison.b):
            if arm not in study.arms:
                raise UsageError(f"{path}, [[compare]]: there is no arm {arm!r}", closest(arm, study.arms))
        check_metric(comparison.metric)  # reported before the first run, not after the last
    return study.model_copy(
        update={
            "name": safe_name(study.name or path.stem),
            "title": study.title or study.name or path.stem,
            "base": _values(study.base, "[base]", path),
            "arms": {name: _values(arm, f"[arms.{name}]", path) for name, arm in study.arms.items()},
            "matrix": matrix,
            "exclude": [_condition(item, matrix, f"{path}, [[exclude]]") for item in study.exclude],
            "compare": [
                Comparison(
                    **each.model_dump(include={"a", "b", "metric"}),
                    **_condition(each.where, matrix, f"{path}, [[compare]]"),
                )
                for each in study.compare
            ],
        }
    )


def _values(table: Mapping[str, Any], name: str, path: Path) -> Values:
    """Nested or dotted settings as dotted names, each known; relative paths are relative to the study file."""
    where = f"{path}, {name}"
    values = _translate(flattened(where, table), where)
    settings = {name: value for name, value in values.items() if name not in EXPERIMENT}
    from_names(where, settings)
    if settings.keys() & {"seed", "split.folds", "split.fold"}:
        raise UsageError(
            f"{where}: seeds and folds belong to the study", "Write seeds = [0, 1, 2] or folds = 5 at the top."
        )
    if values.get("method", "train") not in ("train", "finetune"):
        raise UsageError(f"{where}: method is {values['method']!r}; it is 'train' or 'finetune'")
    if not isinstance(values.get("model", ""), str | Mapping):
        raise UsageError(f"{where}: model is {values['model']!r}", 'Write a name, for example model = "resnet50".')
    return {**values, **paths_beside(settings, path.parent)}


def _matrix(study: StudyFile) -> dict[str, list[Any]]:
    where = f"{study.path}, [matrix]"
    flat = _translate(flattened(where, study.matrix), where)
    for name, choices in flat.items():
        if not isinstance(choices, list) or not choices:
            raise UsageError(f"{where}: {name} needs a list of values")
        for choice in choices:
            _values({name: choice}, "[matrix]", study.path)
    return flat


def _condition(table: Mapping[str, Any], matrix: Mapping[str, list[Any]], where: str) -> Values:
    table = _translate(table, where)
    for name in table:
        if name not in (*matrix, "arm"):
            raise UsageError(f"{where}: {name!r} is neither 'arm' nor a key of [matrix]", closest(name, matrix))
    return table


def _translate(values: Mapping[str, Any], where: str) -> Values:
    """``values`` with ``unfreeze_last``, which older study files have, as the setting ``last.unfreeze``."""

    def translate(value: Any) -> Any:
        if isinstance(value, list):
            return [translate(item) for item in value]
        if not isinstance(value, bool):
            raise UsageError(f"{where}: unfreeze_last is {value!r}; it is true or false")
        return "last" if value else "none"

    return {
        "last.unfreeze" if name == "unfreeze_last" else name: translate(value) if name == "unfreeze_last" else value
        for name, value in values.items()
    }
