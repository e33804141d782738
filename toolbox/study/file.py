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

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolbox.api.errors import UsageError, closest
from toolbox.files.atomic import translate_os_errors
from toolbox.files.names import safe_name
from toolbox.settings.layers import flattened, from_names, paths_beside
from toolbox.statistics.compare import check_metric

KEYS = ("name", "title", "question", "base", "arms", "matrix", "exclude", "seeds", "folds", "compare", "expect")
EXPERIMENT = ("method", "model", "epochs")
"""What an arm may say beside settings: how to train, which model, and ``epochs`` of every stage."""

_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Comparison:
    """Two arms to compare on one metric, ``a`` and ``b`` by name; ``where`` narrows matrix factors."""

    a: str
    b: str
    metric: str = "accuracy"
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyFile:
    """What a study file says. Values are dotted names: those of settings, and of :data:`EXPERIMENT`."""

    path: Path
    name: str
    title: str
    question: str
    expect: str
    base: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    matrix: Mapping[str, tuple[Any, ...]]
    exclude: tuple[Mapping[str, Any], ...]
    seeds: tuple[int, ...]
    folds: int
    compare: tuple[Comparison, ...]


def read(path: Path) -> StudyFile:
    """The study in ``path``.

    Raises
    ------
    UsageError: no TOML, a key that nobody knows (the closest one is named), a comparison of unknown arms.
    """
    with translate_os_errors("read", path), path.open("rb") as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise UsageError(f"{path} is longer than {_MAX_BYTES:,} bytes: that is no study file")
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    for key in table:
        if key not in KEYS:
            raise UsageError(f"{path}: no key of a study is called {key!r}", closest(key, KEYS))
    base = _values(table.get("base", {}), f"{path}, [base]", path)
    arms = {name: _values(arm, f"{path}, [arms.{name}]", path) for name, arm in _table(table, "arms", path).items()}
    matrix = _matrix(_table(table, "matrix", path), path)
    study = StudyFile(
        path=path,
        name=safe_name(str(table.get("name") or path.stem)),
        title=str(table.get("title") or table.get("name") or path.stem),
        question=str(table.get("question", "")),
        expect=str(table.get("expect", "")),
        base=base,
        arms=arms or {"all": {}},
        matrix=matrix,
        exclude=tuple(_condition(item, matrix, f"{path}, [[exclude]]") for item in _list(table, "exclude", path)),
        seeds=_numbers(table.get("seeds", [0]), path),
        folds=_folds(table.get("folds", 0), path),
        compare=(),
    )
    compare = tuple(_comparison(item, study) for item in _list(table, "compare", path))
    return replace(study, compare=compare)


def _table(table: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, Mapping):
        raise UsageError(f"{path}: {key} is a table", f"Write [{key}] and its entries below.")
    return found


def _list(table: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    found = table.get(key, [])
    if not isinstance(found, list):
        raise UsageError(f"{path}: {key} is a list of tables", f"Write [[{key}]] and its entries below.")
    return found


def _values(table: Any, where: str, path: Path) -> dict[str, Any]:
    """Nested or dotted settings as dotted names, each known; relative paths are relative to the study file."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} is a table")
    values = _translated(flattened(where, table), where)
    settings = {name: value for name, value in values.items() if name not in EXPERIMENT}
    from_names(where, settings)
    if "seed" in settings or "split.folds" in settings or "split.fold" in settings:
        raise UsageError(
            f"{where}: seeds and folds belong to the study", "Write seeds = [0, 1, 2] or folds = 5 on top."
        )
    if values.get("method", "train") not in ("train", "finetune"):
        raise UsageError(f"{where}: method is {values['method']!r}; it is 'train' or 'finetune'")
    if not isinstance(values.get("model", ""), str | Mapping):
        raise UsageError(f"{where}: model is {values['model']!r}", 'Write a name, say model = "resnet50".')
    return {**values, **paths_beside(settings, path.parent)}


def _translated(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``values`` with ``unfreeze_last``, which older study files have, as the setting ``last.unfreeze``."""
    if "unfreeze_last" not in values:
        return dict(values)

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


def _matrix(table: Mapping[str, Any], path: Path) -> dict[str, tuple[Any, ...]]:
    flat = _translated(flattened(f"{path}, [matrix]", table), f"{path}, [matrix]")
    for name, choices in flat.items():
        if not isinstance(choices, list) or not choices:
            raise UsageError(f"{path}, [matrix]: {name} needs a list of values")
        for choice in choices:
            _values({name: choice}, f"{path}, [matrix]", path)
    return {name: tuple(choices) for name, choices in flat.items()}


def _condition(table: Any, matrix: Mapping[str, tuple[Any, ...]], where: str) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} is a table")
    table = _translated(table, where)
    for name in table:
        if name not in (*matrix, "arm"):
            raise UsageError(f"{where}: {name!r} is neither 'arm' nor a key of [matrix]", closest(name, matrix))
    return dict(table)


def _comparison(table: Any, study: StudyFile) -> Comparison:
    where = f"{study.path}, [[compare]]"
    if not isinstance(table, Mapping) or not {"a", "b"} <= set(table):
        raise UsageError(f"{where} names two arms", 'For example a = "originals", b = "augmented".')
    for side in ("a", "b"):
        if not isinstance(table[side], str) or table[side] not in study.arms:
            raise UsageError(f"{where}: there is no arm {table[side]!r}", closest(str(table[side]), study.arms))
    rest = {name: value for name, value in table.items() if name not in ("a", "b", "metric")}
    # Told before the first run, not after the last.
    metric = check_metric(str(table.get("metric", "accuracy")))
    return Comparison(table["a"], table["b"], metric, _condition(rest, study.matrix, where))


def _numbers(value: Any, path: Path) -> tuple[int, ...]:
    seeds = value if isinstance(value, list) else [value]
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise UsageError(f"{path}: seeds are different whole numbers", "For example seeds = [0, 1, 2].")
    return tuple(seeds)


def _folds(value: Any, path: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or value == 1:
        raise UsageError(f"{path}: folds = {value!r}", "Write folds = 5, or 0 for one split.")
    return value
