"""Component specs: ``NAME`` or ``NAME:key=value,key=value``, the same on the command line and in TOML."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolbox.api.errors import UsageError

# Two letters at least: C: is a drive.
_SPEC_WITH_KEY = re.compile(r"[a-z0-9][a-z0-9._-]+:\s*[A-Za-z_][\w-]*\s*=")
_OPENING, _CLOSING, _QUOTES = "[{(", "]})", "\"'"


@dataclass(frozen=True)
class Spec:
    """A component's name and its parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        return f"{self.name}:" + ",".join(f"{key}={_toml(value)}" for key, value in self.parameters.items())


def looks_like_path(text: str) -> bool:
    """Whether ``text`` is a path, not a spec: it exists, is absolute, or contains a separator.

    This is decided before anything is split at ``:``, so that ``C:\\data`` and ``scans/a:b`` stay whole. Text that
    begins with a name, a colon and ``key=`` is a spec with a path among its values (``nifti:path=scans/``), unless it
    exists.
    """
    if _exists(text):
        return True
    return not _SPEC_WITH_KEY.match(text) and ("/" in text or "\\" in text or Path(text).is_absolute())


def parse(text: str | Mapping[str, Any] | Spec) -> Spec:
    """The spec that ``text`` (or a TOML table ``{name = …, key = …}``) describes.

    Values are TOML values or bare words: ``timm:arch=vit_tiny_patch16_224``, ``compose:steps=["a","b:x=1"]``.

    Raises
    ------
    UsageError: it does not have that form.
    """
    if isinstance(text, Spec):
        return text
    if isinstance(text, Mapping):
        return _from_table(text)
    name, colon, rest = text.strip().partition(":")
    if not name:
        raise UsageError(f"{text!r} names no component", "Write NAME or NAME:key=value,key=value.")
    if colon and not rest.strip():
        raise UsageError(f"{text!r} has no parameters after its colon", "Write NAME or NAME:key=value,key=value.")
    parameters: dict[str, Any] = {}
    for piece in _split(rest, text) if rest else []:
        key, equals, value = piece.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise UsageError(f"{piece.strip()!r} in {text!r} is no key=value", "Write NAME:key=value,key=value.")
        if key in parameters:
            raise UsageError(f"{key!r} is given twice in {text!r}")
        parameters[key] = parse_value(value)
    return Spec(name, parameters)


def parse_value(text: str) -> Any:
    """A TOML value, or the text itself where it isn't one (a bare word)."""
    text = text.strip()
    if not text or "\n" in text:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _from_table(table: Mapping[str, Any]) -> Spec:
    parameters = dict(table)
    name = parameters.pop("name", None)
    if not isinstance(name, str) or not name:
        raise UsageError(f"the component {dict(table)!r} has no name", 'Write {name = "…", key = …}.')
    return Spec(name, parameters)


def _split(text: str, whole: str) -> list[str]:
    """``text`` at its commas, but not at those within quotes or brackets."""
    pieces, start, depth, quote, escaped = [], 0, 0, "", False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            # As in TOML: a backslash escapes within double quotes, and is itself within single ones.
            escaped = character == "\\" and quote == '"'
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "," and depth == 0:
            pieces.append(text[start:position])
            start = position + 1
    if quote or depth:
        raise UsageError(f"a quote or bracket in {whole!r} is not closed")
    return [*pieces, text[start:]]


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_toml(item) for item in value) + "]"
    # A JSON string, number or boolean is a TOML one too, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False
