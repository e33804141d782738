"""Command lines for people to copy: they work as printed."""

from __future__ import annotations

import shlex
from pathlib import Path


def command_line(*words: object, workspace: Path = Path()) -> str:
    """A ``toolbox`` command, quoted for a shell, that works in the current folder on the workspace ``workspace``."""
    place = [] if workspace == Path() else ["-C", workspace]
    return shlex.join(["toolbox", *map(str, [*words, *place])])
