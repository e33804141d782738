"""Records that were edited by hand, key by key: a command reads them or says in a line what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Toolbox
from tests.test_old_workspace import copy_old_workspace

FILES = (
    "runs/003-timm/run.json",
    "runs/003-timm/evaluation.json",
    "runs/003-timm/evaluation-a1e3b03e.json",
    "manifest.json",
    "audit.json",
)
COMMANDS = (
    ("compare", 3, 4),
    ("report", 3, 4, "--format", "json", "--no-images"),
    ("evaluate", 3),
)
SAMPLE = 121
"""Every so many edits are tried in the fast test."""

Edit = Callable[[dict[Any, Any] | list[Any], Any], None]


def set_to(value: object) -> Edit:
    def edit(holder: dict[Any, Any] | list[Any], key: Any) -> None:
        holder[key] = value

    return edit


EDITS: dict[str, Edit] = {
    "removed": lambda holder, key: holder.pop(key),
    "null": set_to(None),
    "an empty text": set_to(""),
    "an empty list": set_to([]),
    "an empty table": set_to({}),
    "a number": set_to(-7.5),
    "a text": set_to("\x1b[31mx\udcff"),
}


def keys(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all keys, and to the first item of each list."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from keys(item, (*path, key))


def edited(text: str, path: tuple[Any, ...], edit: Edit) -> str:
    document = holder = json.loads(text)
    for key in path[:-1]:
        holder = holder[key]
    edit(holder, path[-1])
    return json.dumps(document)


def try_edits(toolbox: Toolbox, place: Path, step: int) -> int:
    """Make every ``step``-th edit, each for the next of :data:`COMMANDS`; return how many were made."""
    all_edits = [
        (file, path, name)
        for file in FILES
        for path in keys(json.loads((place / file).read_text("utf-8")))
        for name in EDITS
    ]
    chosen = all_edits[::step]
    for number, (file, path, name) in enumerate(chosen):
        text, words = (place / file).read_text("utf-8"), COMMANDS[number % len(COMMANDS)]
        (place / file).write_text(edited(text, path, EDITS[name]), "utf-8")
        done = toolbox(*words)
        (place / file).write_text(text, "utf-8")
        where = f"{' '.join(map(str, words))}: {'.'.join(map(str, path))} of {file} is {name}: {done.stderr}"
        assert done.code in (0, 2), where
        assert "Traceback" not in done.stderr and "internal error" not in done.stderr, where
        if done.code:
            assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1, where
    return len(chosen)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = copy_old_workspace(tmp_path / "old")
    monkeypatch.chdir(place)
    return place


def test_some_edited_keys_are_read_or_refused_in_a_line(toolbox: Toolbox, old: Path) -> None:
    assert try_edits(toolbox, old, SAMPLE) > 30


@pytest.mark.slow
def test_each_edited_key_is_read_or_refused_in_a_line(toolbox: Toolbox, old: Path) -> None:
    assert try_edits(toolbox, old, 5) > 900
