"""Which plugins the user does without: kept in the user's configuration folder, or said by the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from toolbox.api.errors import UsageError
from toolbox.files.atomic import write_json
from toolbox.plugin.discovery import Installed

VARIABLE = "TOOLBOX_DISABLE_PLUGINS"
"""Names of plugins, with commas between them; ``*`` stands for every one that does not come with the toolbox."""

ALL = "*"
BY_COMMAND = "'toolbox plugins disable'"


def file() -> Path:
    """Where the names are kept: ``plugins.json`` in ``TOOLBOX_CONFIG_DIR``, else in the user's configuration folder."""
    named = os.environ.get("TOOLBOX_CONFIG_DIR", "")
    if named:
        return Path(named).expanduser() / "plugins.json"
    import platformdirs

    return platformdirs.user_config_path("toolbox") / "plugins.json"


def kept() -> list[str]:
    """The names that ``toolbox plugins disable`` was given.

    Raises
    ------
    UsageError: the file is not what the toolbox wrote.
    """
    path = file()
    try:
        names = json.loads(path.read_text("utf-8"))["disabled"]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        problem = "'disabled' is no list of names"
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise UsageError(f"{path}, which says what plugins are disabled, can't be used: {problem}", "Mend or delete it.")


def keep(names: Iterable[str]) -> None:
    """Write ``names`` as the disabled ones.

    Raises
    ------
    EnvironmentFailure: the file can't be written.
    """
    write_json(file(), {"disabled": sorted(set(names))})


def forget(names: Iterable[str]) -> None:
    """Take ``names`` out of the disabled ones, if they are there.

    Raises
    ------
    EnvironmentFailure: the file can't be written.
    UsageError: it is not what the toolbox wrote.
    """
    before, gone = kept(), set(names)
    after = [name for name in before if name not in gone]
    if after != before:
        keep(after)


def from_environment() -> list[str]:
    """The names in ``TOOLBOX_DISABLE_PLUGINS``."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


class Choice:
    """What is disabled in this process, read once."""

    def __init__(self) -> None:
        self._said = from_environment()
        self._kept = kept()

    def disabled_by(self, plugin: Installed) -> str:
        """What disables ``plugin``, in words; empty where nothing does."""
        if any(plugin.called(name) for name in self._kept):
            return BY_COMMAND
        if any(plugin.called(name) for name in self._said) or (ALL in self._said and not plugin.shipped):
            return VARIABLE
        return ""
