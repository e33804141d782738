"""A workspace that version 0.1.0 made is read, continued and resumed by this one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Toolbox

FIXTURE = Path(__file__).parent / "fixtures" / "old_workspace"
MADE_IN = "/tmp/oldws"
TEXTS = {".json", ".html"}


def copy_old_workspace(place: Path) -> Path:
    """The old workspace as if it had been made at ``place``."""
    shutil.copytree(FIXTURE, place)
    for file in place.rglob("*"):
        if file.suffix in TEXTS:
            file.write_text(file.read_text("utf-8").replace(MADE_IN, place.as_posix()), "utf-8")
    return place


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The old workspace in a folder of the test's own, which is also the current one."""
    place = copy_old_workspace(tmp_path / "old")
    monkeypatch.chdir(place)
    return place


def test_it_opens_and_its_split_and_set_are_taken_as_they_are(toolbox: Toolbox, old: Path) -> None:
    before = {name: (old / name).read_bytes() for name in ("manifest.csv", "manifest.json")}
    done = toolbox("train", "alzheimer-cnn", "--train-on", "auto", "--epochs", 1, "--json")
    assert done.code == 0, done.stderr
    assert "training on 48 copies" in done.stderr and "made anew" not in done.stderr
    assert {name: (old / name).read_bytes() for name in before} == before
    assert toolbox("augment", "--verify").code == 0


def test_it_is_reported(toolbox: Toolbox, old: Path) -> None:
    told = toolbox("report")
    assert told.code == 0, told.stderr
    page = (old / "report.html").read_text()
    for run in ("001-alzheimer-cnn", "003-timm", "006-timm"):
        assert run in page and run in told.stdout
    assert "external" in page


def test_what_was_unfrozen_tells_arms_apart(toolbox: Toolbox, old: Path) -> None:
    done = toolbox("compare", 2, 3, 4, 5, 6, "--json")
    assert done.code == 0, done.stderr
    assert sorted(arm["runs"] for arm in done.document["arms"]) == [
        ["002-timm"],
        ["003-timm", "006-timm"],
        ["004-timm"],
        ["005-timm"],
    ]


def test_it_is_evaluated(toolbox: Toolbox, old: Path) -> None:
    before = json.loads((old / "runs/003-timm/evaluation.json").read_text())["metrics"]["accuracy"]
    done = toolbox("evaluate", 3, "--json")
    assert done.code == 0 and done.document["metrics"]["accuracy"]["value"] == before["value"]
    external = toolbox("evaluate", 1, "--data", "external", "--json")
    assert external.code == 0 and external.document["n"] == 10
    assert len(toolbox("predict", 1, "external/left", "--json").document["images"]) == 5


def test_what_was_interrupted_is_resumed(toolbox: Toolbox, old: Path) -> None:
    history = old / "runs/007-alzheimer-cnn/metrics.jsonl"
    before = history.read_text()
    done = toolbox("train", "--resume", 7, "--json")
    assert done.code == 0, done.stderr
    assert history.read_text().startswith(before) and len(history.read_text().splitlines()) == 60
    assert done.document["run"] == "007-alzheimer-cnn"


def test_its_study_is_known_as_finished(toolbox: Toolbox, old: Path) -> None:
    status = toolbox("study", "status", "study.toml", "--json").document
    assert [run["status"] for run in status["runs"]] == ["finished"] * 4
    done = toolbox("study", "run", "study.toml", "--json")
    assert done.code == 0 and "4 of 4 runs are already finished" in done.stderr
    assert len(list(old.glob("studies/old/splits/*/runs/*"))) == 4
    assert toolbox("study", "report", "study.toml").code == 0
