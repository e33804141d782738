"""The documentation: its commands are run or parsed, its Python is run, and its generated pages are up to date."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_lines import PAGES, ROOT, command_lines, mentions, parse_command_line, split_words
from tests.conftest import Toolbox, write_photos
from tests.fresh import environment

BLOCK = re.compile(r"<!-- tested: ([\w-]+) -->\n```(?:python)?\n(.*?)```", re.DOTALL)
BLOCKS = {name: block for path in PAGES for name, block in BLOCK.findall(path.read_text("utf-8"))}
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def commands(name: str) -> list[list[str]]:
    """The command lines of the block that is marked ``tested: name``."""
    return [split_words(line) for line in BLOCKS[name].splitlines() if line]


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


def run_all(toolbox: Toolbox, name: str) -> None:
    for arguments in commands(name):
        done = toolbox(*arguments)
        assert done.code == 0, f"{arguments}: {done.stderr}"


def test_looking_around(toolbox: Toolbox) -> None:
    run_all(toolbox, "look")


@pytest.mark.slow
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
    assert "Least certain predictions" in (tmp_path / "report.html").read_text("utf-8")
    assert len((tmp_path / "answers.csv").read_text("utf-8").splitlines()) == 1 + 8
    shutil.copy(next((tmp_path / "cats_dogs" / "test" / "Cats").iterdir()), tmp_path / "photo.jpg")
    variables: dict[str, object] = {}
    exec(compile(BLOCKS["onnx"], "predict.md", "exec"), variables)
    assert variables["classes"] == ["Cats", "Dogs"]


def test_preprocessing(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cats_and_dogs(tmp_path)
    run_all(toolbox, "prepared")
    assert list(tmp_path.glob("augmented/*/Cats/*.jpg")) and len(list(tmp_path.glob("grey/*/*/*.png"))) == 32


@pytest.mark.slow
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
    canary = toolbox(*arguments, "--json").document
    page = (ROOT / "docs/how-to/split.md").read_text("utf-8")
    assert canary["words"] in page.replace("\n", " ").replace("> ", "")


@pytest.mark.slow
def test_the_demo(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert toolbox("demo").code == 0
    assert (tmp_path / "toolbox-demo" / "report.html").is_file()


def test_the_notebooks_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cats_and_dogs(tmp_path)
    # The same lines with fewer epochs and smaller pictures, so that the test takes seconds.
    quick = '"augment.factor": 5, "augment.size": 64, "training.size": 64, "head.epochs": 1, "last.epochs": 1'
    code = BLOCKS["notebook"].replace('"augment.factor": 5', quick)
    assert code != BLOCKS["notebook"]
    exec(compile(code, "notebook.md", "exec"), {})
    exec(compile(BLOCKS["notebook-study"], "notebook.md", "exec"), {})
    assert (tmp_path / "study" / "report.html").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_line_is_understood(page: Path) -> None:
    text = page.read_text("utf-8")
    for lines, complete in ((command_lines(text), True), (mentions(text), False)):
        for line in lines:
            try:
                parse_command_line(split_words(line), complete=complete)
            except Exception as error:
                raise AssertionError(f"{page.relative_to(ROOT)}: {line}: {error}") from error


def test_a_wrong_command_line_is_noticed() -> None:
    page = "```\ntoolbox augment --factor 5\n```\n\n`toolbox show model resnet50`\n\n```text\ntoolbox MODEL\n```\n"
    assert list(command_lines(page)) == ["toolbox augment --factor 5"]
    assert list(mentions(page)) == ["toolbox show model resnet50"]
    parse_command_line(["compare"], complete=False)
    for line in ("toolbox augmnt", "toolbox augment --facto 5", "toolbox data splt", "toolbox train a b"):
        for complete in (True, False):
            with pytest.raises(Exception, match=r"No such|unexpected"):
                parse_command_line(split_words(line), complete=complete)
    with pytest.raises(Exception, match="Missing"):
        parse_command_line(["compare"])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    """Those to pages that the site makes from other files are checked by its strict build."""
    generated = runpy.run_path(str(ROOT / "docs/mkdocs_hooks.py"))["PAGES"].values()
    targets = {(page.parent / link).resolve() for link in LINK.findall(page.read_text("utf-8"))}
    missing = [target for target in targets - {ROOT / "docs" / name for name in generated} if not target.exists()]
    assert missing == []


def test_the_readme_is_a_front_page() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150
    assert (ROOT / "docs/images/report.png").stat().st_size < 200_000


def test_the_reference_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs/generate_reference.py"))
    stale = [path.name for path, text in generator["render"]().items() if path.read_text("utf-8") != text]
    assert not stale, f"{stale} in docs/reference: run '{generator['COMMAND']}'"


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="MkDocs is not installed: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text("utf-8")
        assert not re.findall(r'<(?:script|img|iframe)[^>]+src="?(?:https?:)?//', text), page
        assert not re.findall(r'<link[^>]+href="?(?:https?:)?//', text), page
