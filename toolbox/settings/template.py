"""The ``toolbox.toml`` that ``toolbox init`` writes: every section, with the defaults as comments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from toolbox.api.errors import UsageError
from toolbox.files import atomic
from toolbox.plugin.spec import looks_like_path
from toolbox.settings.layers import FILE_NAME
from toolbox.settings.schema import SECTIONS, Settings


def write_settings_file(folder: Path, data: str, overwrite: bool = False) -> Path:
    """Write a ``toolbox.toml`` for ``data`` into ``folder``.

    Raises
    ------
    UsageError: there is one already, and ``overwrite`` is not set.
    """
    file = folder / FILE_NAME
    if file.exists() and not overwrite:
        raise UsageError(f"{file} already exists", "Edit it, or pass --force to overwrite it.")
    atomic.write_text(file, render(data))
    return file


def render(data: str) -> str:
    """The file's text for ``data`` (a folder, a manifest, or a spec). Made from the schema, so it is never stale."""
    where = str(Path(data).resolve()) if looks_like_path(data) else data
    defaults = Settings()
    lines = [
        "# Settings of this workspace. What is commented out shows the default.",
        f"data = {_toml(where)}",
        "",
        *_commented(defaults, Settings, skip=("data", *SECTIONS)),
    ]
    for name in SECTIONS:
        section = getattr(defaults, name)
        lines += ["", f"[{name}]", *_commented(section, type(section))]
    return "\n".join(lines) + "\n"


def _commented(values: BaseModel, model: type[BaseModel], skip: tuple[str, ...] = ()) -> list[str]:
    lines = []
    for name, info in model.model_fields.items():
        value = getattr(values, name)
        if name in skip or value is None:
            continue
        setting = f"# {name} = {_toml(value)}"
        description = info.description or ""
        lines.append(f"{setting:<36}  # {description}" if description else setting)
    return lines


def _toml(value: Any) -> str:
    # Strings, numbers, booleans and lists of them read the same in JSON and in TOML.
    return json.dumps(value, ensure_ascii=False)
