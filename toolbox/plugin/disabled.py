"""Which plugins are disabled: by ``toolbox plugins disable``, kept in a file of the user's, or by the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from toolbox.api.errors import UsageError
from toolbox.files.atomic import write_json
from toolbox.plugin.discovery import Installed

VARIABLE = "TOOLBOX_DISABLE_PLUGINS"
"""Names of plugins, separated by commas; ``*`` stands for every one that does not come with the toolbox."""

ALL = "*"
BY_COMMAND = "'toolbox plugins disable'"


def config_file() -> Path:
    """``plugins.json`` in ``TOOLBOX_CONFIG_DIR``, else in the user's configuration folder."""
    folder = os.environ.get("TOOLBOX_CONFIG_DIR", "")
    if folder:
        return Path(folder).expanduser() / "plugins.json"
    import platformdirs

    return platformdirs.user_config_path("toolbox") / "plugins.json"


def load() -> list[str]:
    """The names that ``toolbox plugins disable`` saved.

    Raises
    ------
    UsageError: the file can't be read as such.
    """
    path = config_file()
    try:
        names = json.loads(path.read_text("utf-8"))["disabled"]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        problem = "'disabled' is no list of names"
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise UsageError(f"can't read the disabled plugins from {path}: {problem}", "Fix or delete it.")


def save(names: Iterable[str]) -> None:
    """Save ``names`` as the disabled plugins.

    Raises
    ------
    EnvironmentFailure: the file can't be written.
    """
    write_json(config_file(), {"disabled": sorted(set(names))})


def remove(names: Iterable[str]) -> None:
    """Remove ``names`` from the disabled plugins; :func:`load` and :func:`save` say what it raises."""
    before, removed = load(), set(names)
    after = [name for name in before if name not in removed]
    if after != before:
        save(after)


def from_environment() -> list[str]:
    """The names in ``TOOLBOX_DISABLE_PLUGINS``."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def disabled_by(plugin: Installed, saved: Sequence[str], environment: Sequence[str]) -> str:
    """What disables ``plugin`` (:func:`load` and :func:`from_environment` give the names); empty where nothing does."""
    if any(plugin.matches(name) for name in saved):
        return BY_COMMAND
    if any(plugin.matches(name) for name in environment) or (ALL in environment and not plugin.shipped):
        return VARIABLE
    return ""
