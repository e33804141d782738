"""The README's commands, run as they stand; its Python too."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import Toolbox, write_photos
from tests.fresh import environment
from toolbox.cli.app import app

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def commands(name: str) -> list[list[str]]:
    """The command lines of the block that is marked ``tested: name``."""
    block = re.search(rf"<!-- tested: {name} -->\n```\n(.*?)```", README, re.DOTALL)
    assert block, f"README.md has no block {name!r}"
    return [shlex.split(line)[1:] for line in block[1].splitlines() if line]


def cats_and_dogs(folder: Path) -> None:
    """A folder of the README's shape, with pictures that are quickly learned."""
    for split, count in (("train", 12), ("test", 4)):
        photos = write_photos(folder / "cats_dogs" / split, per_class=count)
        (photos / "left").rename(photos / "Cats")
        (photos / "right").rename(photos / "Dogs")
    for path in (folder / "cats_dogs" / "test").rglob("*.png"):
        path.unlink()
    write_photos(folder / "more", per_class=16)
    for old, new in (("left", "Cats"), ("right", "Dogs")):
        for path in sorted((folder / "more" / old).iterdir())[12:]:
            shutil.move(path, folder / "cats_dogs" / "test" / new / path.name)
    shutil.rmtree(folder / "more")


WAYS = ("divided", "whole")


def run_all(toolbox: Toolbox, name: str) -> None:
    for arguments in commands(name):
        done = toolbox(*arguments)
        assert done.code == 0, f"{arguments}: {done.stderr}"


def test_looking_around(toolbox: Toolbox) -> None:
    run_all(toolbox, "look")


def test_ones_own_images(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cats_and_dogs(tmp_path)
    run_all(toolbox, "photos")
    assert (tmp_path / "report.html").is_file() and (tmp_path / "manifest.csv").is_file()
    run_all(toolbox, "use")
    run_all(toolbox, "why")
    run_all(toolbox, "report")
    assert "<img" not in (tmp_path / "for-the-partners.html").read_text("utf-8")
    assert (tmp_path / "report.json").is_file() and (tmp_path / "report.md").is_file()
    run_all(toolbox, "cache")
    assert "Most doubtful answers" in (tmp_path / "report.html").read_text("utf-8")
    assert len((tmp_path / "answers.csv").read_text("utf-8").splitlines()) == 1 + 8
    block = re.search(r"<!-- tested: onnx -->\n```python\n(.*?)```", README, re.DOTALL)
    assert block
    shutil.copy(next((tmp_path / "cats_dogs" / "test" / "Cats").iterdir()), tmp_path / "photo.jpg")
    told: dict[str, object] = {}
    exec(compile(block[1], "README.md", "exec"), told)
    assert told["classes"] == ["Cats", "Dogs"]


def test_preprocessing(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cats_and_dogs(tmp_path)
    run_all(toolbox, "prepared")
    assert list(tmp_path.glob("augmented/*/Cats/*.jpg")) and len(list(tmp_path.glob("grey/*/*/*.png"))) == 32


def test_a_plugin_of_ones_own(tmp_path: Path) -> None:
    fresh = environment(tmp_path / "environment")
    for arguments in commands("plugin"):
        done = fresh.toolbox(*arguments, cwd=tmp_path)
        assert done.code == 0, f"{arguments}: {done.stderr}"
    assert list(tmp_path.glob("augmented/demo-*/*/*.jpg"))


def test_augmented_sets(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cats_and_dogs(tmp_path)
    run_all(toolbox, "sets")
    assert (tmp_path / "preview.png").is_file() and list(tmp_path.glob("augmented/*/Dogs/*.webp"))


@pytest.mark.slow
def test_believing_it(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cats_and_dogs(tmp_path)
    assert toolbox("init", "cats_dogs").code == 0
    run_all(toolbox, "compare")


@pytest.mark.slow
def test_the_three_lines_in_an_empty_folder(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_all(toolbox, "embedded")
    assert "Random weights" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_the_canarys_table(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (arguments,) = commands("canary")
    sung = toolbox(*arguments, "--json").document
    printed = [f"{sung[way]['value']:.2f} ({sung[way]['low']:.2f} to {sung[way]['high']:.2f})" for way in WAYS]
    assert [cell for cell in printed if cell not in README] == []


@pytest.mark.slow
def test_the_demo(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "toolbox demo" in README and toolbox("demo").code == 0
    assert (tmp_path / "toolbox-demo" / "report.html").is_file()


def test_the_notebooks_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cats_and_dogs(tmp_path)
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block
    # The same lines with fewer epochs and smaller pictures, so that the test takes seconds.
    quick = '"augment.factor": 5, "augment.size": 64, "training.size": 64, "head.epochs": 1, "last.epochs": 1'
    code = block[1].replace('"augment.factor": 5', quick)
    assert code != block[1]
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "study" / "report.html").is_file()


def test_every_command_that_is_mentioned_exists() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {str(group.name) for group in app.registered_groups}
    mentioned = set(re.findall(r"`toolbox ([a-z]+)", README)) | {
        words[0] for name in re.findall(r"<!-- tested: (\w+) -->\n```\n", README) for words in commands(name)
    }
    assert mentioned <= known
