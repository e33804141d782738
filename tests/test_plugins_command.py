"""``toolbox plugins``: what each command says, keeps, and refuses; nothing is installed here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import broken
from tests.background import finish_command
from tests.conftest import Toolbox
from toolbox.api.errors import EnvironmentFailure
from toolbox.plugin import installer
from toolbox.plugin.installer import Installer

FINE = """
from toolbox import AugmenterComponent, hookimpl

@hookimpl
def toolbox_augmenters():
    yield AugmenterComponent("fine", "nothing yet", "fine_plugin:gone", api_version=1)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with two plugins, one of which raises."""
    folder = tmp_path / "site"
    folder.mkdir()
    broken.distribution(folder, "fine", "fine_plugin", FINE, version="1.5")
    broken.distribution(folder, "bad", "bad_plugin", "raise RuntimeError('no luck')")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def rows(toolbox: Toolbox, *options: str) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in toolbox("plugins", "list", "--json", *options).document["plugins"]}


def test_the_list_says_version_offers_and_faults(site: Path, toolbox: Toolbox) -> None:
    found = rows(toolbox)
    assert found["fine"]["distribution"] == "toolbox-fine" and found["fine"]["version"] == "1.5"
    assert found["fine"]["components"] == [{"kind": "augmenter", "name": "fine"}] and found["fine"]["api_version"] == 1
    assert found["bad"]["error"] == "RuntimeError: no luck" and found["bad"]["enabled"]
    printed = toolbox("plugins", "list").stdout
    assert "augmenter fine" in printed and "failed: RuntimeError: no luck" in printed


def test_disable_and_enable_are_kept(site: Path, toolbox: Toolbox) -> None:
    assert toolbox("plugins", "disable", "toolbox-fine").code == 0
    assert rows(toolbox)["fine"]["disabled_by"] == "'toolbox plugins disable'"
    assert "fine" not in toolbox("list", "augmenter").stdout.replace("a fine", "")
    asked = toolbox("show", "augmenter", "fine")
    assert asked.code == 2 and "Disabled plugins: fine" in asked.stderr
    assert toolbox("plugins", "enable", "fine").code == 0 and rows(toolbox)["fine"]["enabled"]
    assert "was not disabled" in toolbox("plugins", "enable", "fine").stdout


def test_one_call_without_plugins(site: Path, toolbox: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("--no-plugins", "list"), ("list", "--no-plugins")):
        done = toolbox(*words)
        assert done.code == 0 and "a fault" not in done.stderr and "resnet50" in done.stdout
    assert "plugin bad failed (RuntimeError: no luck)" in toolbox("list").stderr
    monkeypatch.setenv("TOOLBOX_DISABLE_PLUGINS", "bad")
    assert "a fault" not in toolbox("list").stderr
    told = toolbox("plugins", "enable", "bad")
    assert "TOOLBOX_DISABLE_PLUGINS=bad still disables it" in told.stderr


def test_check_ends_with_2_where_something_is_wrong(site: Path, toolbox: Toolbox) -> None:
    assert toolbox("plugins", "check", "bad").code == 2
    gone = toolbox("plugins", "check", "fine", "--json")
    assert gone.code == 2 and gone.document["findings"][0]["plugin"] == "fine"
    assert toolbox("plugins", "check", "folder").code == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["uninstall", "timm"], 4, "toolbox plugins disable timm"),
        (["uninstall", "vision-toolbox", "--yes"], 4, "is the toolbox itself"),
        (["uninstall", "numpy", "--yes"], 2, "no installed plugin"),
        (["check", "."], 2, "toolbox plugins install ."),
        (["uninstall", "fnie", "--yes"], 2, "Did you mean 'fine'?"),
        (["uninstall", "fine", "--yes"], 1, "can't be uninstalled"),
        (["disable", "fnie"], 2, "Did you mean 'fine'?"),
        (["install", "./nowhere"], 2, "./nowhere does not exist"),
        (["install", "nowhere.whl"], 2, "nowhere.whl does not exist"),
        (["install", "--", "--index-url=x"], 2, "an option of pip's"),
        (["install", "site"], 2, "./site"),
        (["new", "timm"], 2, "the toolbox itself has a plugin"),
        (["new", "resnet50", "--kind", "model"], 2, "already offers the model 'resnet50'"),
        (["new", "Two Words"], 2, "my-colours"),
        (["new", "toolbox-x"], 2, "leave 'toolbox-' out"),
        (["new", "x", "--kind", "thing"], 2, "dataset, augmenter, model, evaluator"),
        (["new", "there"], 2, "already exists"),
    ],
)
def test_nonsense_ends_with_one_clear_line(
    words: list[str],
    code: int,
    told: str,
    site: Path,
    tmp_path: Path,
    toolbox: Toolbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toolbox-there").mkdir()
    done = toolbox("plugins", *words)
    assert (done.code, done.stderr.count("error: ")) == (code, 1) and told in done.stderr, done.stderr
    assert (site / "fine_plugin.py").is_file() and not list((tmp_path / "toolbox-there").iterdir())


def test_which_requirements_run_code_before_they_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins.txt").write_text("# mine\ntoolbox-a==1.0\n-e file:///b\ntoolbox-c @ git+https://x.org/c@1\n")
    safe = ["toolbox-a", "toolbox-a[x]>=1,<2", "wheels/a-1-py3-none-any.whl"]
    assert installer.runs_code(safe) == []
    built = ["./folder", "git+https://x.org/a", "a-1.tar.gz"]
    assert installer.runs_code([*safe, *built, "plugins.txt"]) == [
        *built,
        "-e file:///b",
        "toolbox-c @ git+https://x.org/c@1",
    ]


def test_an_environment_without_an_installer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EnvironmentFailure, match="ensurepip"):
        Installer()


def test_what_a_plugin_prints_while_it_works_is_not_in_the_document(tmp_path: Path) -> None:
    """By Python, past Python, and in a process of its own."""
    site = tmp_path / "site"
    site.mkdir()
    broken.distribution(
        site,
        "loud",
        "loud",
        """
        import os, subprocess, sys
        from toolbox import DatasetComponent, hookimpl
        from toolbox.api.dataset import Sample, VirtualDataset
        from PIL import Image

        class Loud(VirtualDataset):
            "Prints."
            def samples(self):
                print("by print")
                os.write(1, b"past Python")
                subprocess.run([sys.executable, "-c", "print('by a process')"])
                for number in range(8):
                    yield Sample(str(number), f"n#{number}", "ab"[number % 2])
            def load(self, sample):
                return Image.new("L", (32, 32), int(sample.id))

        @hookimpl
        def toolbox_datasets():
            yield DatasetComponent("loud", "prints", "loud:Loud")
        """,
    )
    done = finish_command("data", "inspect", "--data", "loud", "-C", tmp_path, "--json", env=broken.environment(site))
    assert done.code == 0 and done.document["classes"] == {"a": 4, "b": 4}
    assert all(text in done.stderr for text in ("by print", "past Python", "by a process"))


def test_the_template_reads_as_the_rest_of_the_code_does(tmp_path: Path, toolbox: Toolbox) -> None:
    kinds = [word for kind in ("dataset", "augmenter", "model", "evaluator") for word in ("--kind", kind)]
    assert toolbox("plugins", "new", "two-words", *kinds, "--out", tmp_path).code == 0
    folder = tmp_path / "toolbox-two-words"
    assert not [path for path in folder.rglob("*") if "sketch" in path.name.lower()]
    texts = [path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()]
    assert len(texts) == 9 and "sketch" not in "".join(texts).lower()
    for words in (
        ["check", "--select", "E,F,W,B,UP", "--line-length", "120"],
        ["format", "--check", "--line-length", "120"],
    ):
        done = subprocess.run([sys.executable, "-m", "ruff", *words, str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
