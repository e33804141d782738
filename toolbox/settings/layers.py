"""Settings resolve in one order everywhere: defaults < dataset < toolbox.toml < study file < command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from toolbox.api.errors import UsageError, closest
from toolbox.files.atomic import translate_os_errors
from toolbox.plugin.schema import explain
from toolbox.plugin.spec import looks_like_path, parse_value
from toolbox.settings.schema import SECTIONS, Settings, known_names

FILE_NAME = "toolbox.toml"
_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Layer:
    """Some settings by dotted name, and where they come from."""

    origin: str
    values: Mapping[str, Any]


def from_table(origin: str, table: Mapping[str, Any]) -> Layer:
    """A layer from nested tables, each name checked.

    Raises
    ------
    UsageError: a name that no setting has; the closest one is named.
    """
    return from_names(origin, flattened(origin, table))


def flattened(origin: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``table`` by dotted name, those of its sections included.

    Raises
    ------
    UsageError: a section that is no table.
    """
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in SECTIONS and isinstance(value, Mapping):
            values.update({f"{key}.{inner}": item for inner, item in value.items()})
        elif key in SECTIONS:
            raise UsageError(f"{origin}: {key} is a table, not {value!r}", f"Write [{key}] and its settings below.")
        else:
            values[key] = value
    return values


def from_names(origin: str, values: Mapping[str, Any]) -> Layer:
    """A layer from dotted names, each checked (see :func:`from_table`)."""
    names = known_names()
    for name in values:
        if name not in names:
            raise UsageError(f"{origin}: no setting is called {name!r}", closest_setting(name, names))
    return Layer(origin, values)


def from_file(path: Path) -> Layer:
    """The layer of a ``toolbox.toml``; a relative ``data`` folder in it is relative to the file.

    Raises
    ------
    UsageError: it is no TOML, too large for settings, or has unknown names.
    """
    values = dict(from_table(str(path), read_toml(path, "settings file")).values)
    return Layer(str(path), {**values, **paths_beside(values, path.parent)})


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """The table in a TOML file; ``kind`` says what it is, for messages.

    Raises
    ------
    UsageError: it is no TOML, or too large.
    """
    with translate_os_errors("read", path), path.open("rb") as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise UsageError(f"{path} is longer than {_MAX_BYTES:,} bytes: that is not a {kind}")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def paths_beside(values: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Those of ``values`` that are paths relative to ``folder``, the settings file's, as paths from here."""
    paths = {}
    for name in ("data", "split.extend", "training.weights", "training.weights_dir"):
        text = values.get(name)
        if isinstance(text, str) and text and not Path(text).is_absolute():
            beside = folder / text
            if looks_like_path(text) or (":" not in text and beside.exists()):
                paths[name] = str(beside)
    return paths


def from_assignments(assignments: Iterable[str]) -> Layer:
    """The layer of ``--set KEY=VALUE`` options.

    Raises
    ------
    UsageError: one that is not of that form, or an unknown name.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {assignment!r}: write --set KEY=VALUE", "For example --set split.val=0.1.")
        values[name.strip()] = parse_value(value)
    return from_names("--set", values)


def resolve(layers: Iterable[Layer]) -> Settings:
    """The settings that ``layers`` give, the later ones winning.

    Raises
    ------
    UsageError: a value out of its range or of the wrong type; the layer it came from is named.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        values.update(layer.values)
        origins.update(dict.fromkeys(layer.values, layer.origin))
    nested: dict[str, Any] = {}
    for name, value in values.items():
        section, dot, key = name.partition(".")
        if dot:
            nested.setdefault(section, {})[key] = value
        else:
            nested[name] = value
    try:
        return Settings.model_validate(nested)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][:2])
        origin = origins.get(where) or origins.get(where.partition(".")[0]) or "settings"
        raise UsageError(f"{origin}: {explain(error)}") from error


def closest_setting(name: str, names: Iterable[str]) -> str:
    """A hint for a misspelt setting: its neighbour, or its namesake in another table."""
    names = list(names)
    same_key = [known for known in names if known.rpartition(".")[2] == name.rpartition(".")[2]]
    if same_key:
        return f"Did you mean {' or '.join(map(repr, same_key))}?"
    return closest(name, names)
