"""Every setting can be given by ``--set``, in TOML and, where an option writes it, by that option, with one result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.conftest import Toolbox
from toolbox.cli.app import app
from toolbox.cli.command import Command
from toolbox.cli.options import Option, collect
from toolbox.settings import layers
from toolbox.settings.schema import Settings, known_names, setting_info

TEXTS: dict[str, Any] = {
    "evaluators": ["classification:resamples=10"],
    "training.trackers": ["tensorboard"],
    "training.mean": [0.5],
    "training.std": [0.25, 0.5, 0.25],
    "last.unfreeze": "2",
}


def other_value(name: str) -> Any:
    """A valid value of the setting ``name`` that is not its default."""
    info = setting_info(name)
    if name in TEXTS:
        return TEXTS[name]
    if info.type is bool:
        return not info.default
    if info.choices:
        return next(choice for choice in info.choices if choice != info.default)
    if info.type is str:
        return "other"
    if info.type is float:
        return 0.5 if info.default != 0.5 else 0.25
    return int(info.low or 0) + 3


def resolved(*assignments: str) -> Settings:
    return layers.resolve([layers.from_assignments(assignments)])


@pytest.mark.parametrize("name", known_names())
def test_every_setting_by_set_and_in_a_file(name: str, tmp_path: Path) -> None:
    text = json.dumps(other_value(name))
    file = tmp_path / "toolbox.toml"
    file.write_text(f"{name} = {text}\n", "utf-8")
    assert resolved(f"{name}={text}") == layers.resolve([layers.from_file(file)]) != Settings()


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    for name, command in group.commands.items():
        if isinstance(command, Command):
            yield (*path, name), command
        elif hasattr(command, "commands"):
            yield from commands(command, (*path, name))


BOUND = [
    pytest.param(command, option, id=" ".join([*path, option.flag]))
    for path, command in commands(typer.main.get_command(app))
    for option in command.options.values()
    if option.settings
]


@pytest.mark.parametrize(("command", "option"), BOUND)
def test_every_option_writes_its_settings(command: Command, option: Option) -> None:
    value = other_value(option.settings[0]) if option.constant is None else option.constant
    word = option.flag if value is True else option.flag.replace("--", "--no-", 1) if value is False else ""
    words = [word] if word else [option.flag, str(value)] if option.constant is None else [option.flag]
    parsed = command.make_context("toolbox", words, resilient_parsing=True).params
    written = collect(command.options.values(), parsed)
    assert set(written) == set(option.settings)
    by_set = resolved(*(f"{name}={json.dumps(value)}" for name in option.settings))
    assert layers.resolve([layers.from_names("command line", written)]) == by_set != Settings()


def test_bound_options_cover_the_experiment() -> None:
    names = {name for parameter in BOUND for name in parameter.values[1].settings}  # type: ignore[union-attr]
    assert {"training.lr", "last.unfreeze", "split.test", "augment.factor", "data", "seed", "device"} <= names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("finetune", "resnet50", "--unfreeze-last", "--unfreeze", 3), "--unfreeze-last and --unfreeze both set"),
        (("data", "split", "--drop-leaks", "--group-duplicates"), "--drop-leaks and --group-duplicates both set"),
    ],
)
def test_two_options_for_one_setting_are_refused(
    toolbox: Toolbox, tmp_path: Path, words: tuple[str | int, ...], message: str
) -> None:
    done = toolbox(*words, "-C", tmp_path)
    assert done.code == 2 and message in done.stderr


def test_help_tells_what_the_schema_tells(toolbox: Toolbox) -> None:
    text = " ".join(toolbox("augment", "--help").stdout.replace("│", " ").split())
    assert "1<=x<=100" in text and "jpeg|png|webp" in text and "default: (75)" in text
    assert "Side of the square image, pixels." in text
