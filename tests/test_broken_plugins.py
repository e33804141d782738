"""Nine broken plugins at once: whatever one does wrong, every command works, and each is named with its reason."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import broken
from tests.background import Background, finish_command, run_command
from tests.benchmarks import startup
from tests.conftest import write_photos
from tests.test_startup import HEAVY, MODULES

NEVER = ("torch", "timm", "kornia", "torchmetrics", "scipy", "matplotlib")
STUDY = """
name = "small"
[base]
data = "phantom:subjects=12,slices=2,size=32"
model = "alzheimer-cnn"
epochs = 1
training.size = 32
audit.near = false
"""


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of a process that sees them."""
    return broken.install_all(tmp_path_factory.mktemp("site"))


def test_the_list_names_each_with_their_reasons(nine: dict[str, str]) -> None:
    listed = finish_command("plugins", "list", "--json", env=nine)
    assert listed.code == 0
    failed = {row["name"]: row["error"] for row in listed.document["plugins"] if row["error"]}
    assert failed.keys() == broken.BROKEN.keys()
    assert [name for name, (_, reason) in broken.BROKEN.items() if reason not in failed[name]] == []
    assert "hello" in listed.stderr and "hello" not in listed.stdout


def test_doctor_says_how_to_fix_each(nine: dict[str, str]) -> None:
    done = finish_command("doctor", env=nine)
    assert done.code == 0
    for name in broken.BROKEN:
        assert f"toolbox plugins uninstall toolbox-{name}\n" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["augment", "--help"], ["plugins", "--help"], ["--version"]])
def test_help_imports_nothing_heavy_and_no_plugin(arguments: list[str], nine: dict[str, str]) -> None:
    imported = modules_after(arguments, nine)
    assert imported.isdisjoint(HEAVY)
    assert not {name for name in imported if name.startswith(("toolbox_", "broken_"))}


@pytest.mark.slow
def test_help_is_nearly_as_quick_as_a_minimal_programs() -> None:
    """Marked slow since a machine that is busy with other tests says nothing of time."""
    alone, with_broken, minimal = startup.measure(rounds=7)
    assert alone / minimal <= 1.5 and with_broken / minimal <= 1.5


@pytest.mark.parametrize("arguments", [["list"], ["plugins", "list"], ["plugins", "freeze"]])
def test_listings_import_nothing_heavy(arguments: list[str], nine: dict[str, str]) -> None:
    assert modules_after(arguments, nine).isdisjoint(NEVER)


def modules_after(arguments: list[str], env: dict[str, str]) -> set[str]:
    code = MODULES.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **env}
    )
    return set(done.stderr.splitlines()[-1].split())


def test_every_core_command_works(nine: dict[str, str], tmp_path: Path) -> None:
    """In one process, as in a notebook."""
    photos, ws = write_photos(tmp_path / "photos"), tmp_path / "ws"
    tiny = ["--no-pretrained", "--size", 32, "--epochs", 1]
    study = tmp_path / "study.toml"
    study.write_text(STUDY, "utf-8")
    picture = photos / "left" / "left-00.png"
    commands: list[list[object]] = [
        ["init", photos, "-C", ws],
        ["list"],
        ["show", "augmenter", "alzheimer"],
        ["show", "model", "resnet50"],
        ["data", "inspect", "-C", ws],
        ["data", "split", "-C", ws],
        ["data", "audit", "-C", ws],
        ["augment", "--factor", 2, "--size", 32, "-C", ws],
        ["train", "timm:arch=test_resnet", "-C", ws, "--size", 32, "--epochs", 1],
        ["finetune", "timm:arch=test_resnet", "-C", ws, *tiny, "--json"],
        ["evaluate", "-C", ws, "--json"],
        ["compare", "1", "2", "-C", ws],
        ["predict", "2", picture, "-C", ws],
        ["report", "-C", ws],
        ["plugins", "list"],
        ["plugins", "freeze"],
        ["plugins", "disable", "raises"],
        ["plugins", "enable", "raises"],
        ["study", "plan", study, "-C", tmp_path],
        ["study", "run", study, "-C", tmp_path],
        ["study", "status", study, "-C", tmp_path],
        ["study", "report", study, "-C", tmp_path],
        ["export", "2", "-C", ws],
        ["cache"],
    ]
    words = [[str(word) for word in command] for command in commands]
    process = Background(run_all, tmp_path / "log", *words, env={**nine, "COLUMNS": "200"})
    assert process.wait() == 0, process.stderr
    outcomes = [json.loads(line) for line in (tmp_path / "log").read_text("utf-8").splitlines()]
    assert [(words, stderr) for words, code, stderr in outcomes if code != 0] == [] and len(outcomes) == len(commands)
    for words, _, stderr in outcomes:
        assert stderr.count("plugins failed") <= 1, words
    last = {words[0]: stderr for words, _, stderr in outcomes}
    assert all("taken-name" in last[command] for command in ("init", "augment", "train", "evaluate", "report", "study"))


def run_all(log: Path, *commands: list[str]) -> None:
    """Each command, what it wrote to stderr, and its exit code, in ``log``; all in this process."""
    with log.open("w", encoding="utf-8") as file:
        for words in commands:
            stderr = io.StringIO()
            with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
                code = run_command(*words)
            file.write(json.dumps([words, code, stderr.getvalue()]) + "\n")


def test_without_plugins_nothing_is_said_of_them(nine: dict[str, str]) -> None:
    listed = finish_command("plugins", "list", "--json", "--no-plugins", env=nine).document["plugins"]
    assert not [row for row in listed if row["error"]]
    assert {row["name"] for row in listed if not row["enabled"]} == broken.BROKEN.keys()
    some = finish_command("list", env={**nine, "TOOLBOX_DISABLE_PLUGINS": "raises, toolbox-exits"})
    assert "7 plugins failed" in some.stderr and "exits" not in some.stderr


def test_ctrl_c_names_a_plugin_that_hangs(tmp_path: Path) -> None:
    text = "import sys, time\nprint('hanging', file=sys.stderr, flush=True)\ntime.sleep(600)"
    broken.distribution(tmp_path, "hangs", "broken_hangs", text)
    env = {**os.environ, **broken.environment(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "toolbox", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    assert process.stderr is not None and process.stderr.readline() == "hanging\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "while the plugin hangs was being loaded" in stderr
    assert "toolbox plugins disable hangs" in stderr and "Traceback" not in stderr
    assert finish_command("list", "--no-plugins", env=broken.environment(tmp_path)).code == 0
