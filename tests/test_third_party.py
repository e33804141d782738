"""A third party's plugin, from its wheel: built, installed apart, tested by its own tests, and used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Finished, in_a_process

pytestmark = pytest.mark.slow  # a plugin is built, installed, tested and used, each in processes of their own

EXAMPLE = Path(__file__).parent.parent / "examples" / "third_party"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the plugin, from its wheel, and not its sources."""
    root = tmp_path_factory.mktemp("third_party")
    shutil.copytree(EXAMPLE, root / "source", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    wheels, place = root / "wheels", root / "installed"
    for command in (
        ["wheel", "--no-build-isolation", *offline, "--wheel-dir", wheels, root / "source"],
        ["install", *offline, "--target", place, "--find-links", wheels, "toolbox-example"],
    ):
        done = subprocess.run([*pip, *map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (wheel,) = wheels.iterdir()
    assert wheel.name == "toolbox_example-1.0.0-py3-none-any.whl"
    path = [str(place), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return {"PYTHONPATH": os.pathsep.join(path)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three grades of brightness, four pictures a patient."""
    rng = np.random.default_rng(0)
    grades = np.repeat(np.arange(3), 24)
    images = np.clip(rng.normal(60 + 60 * grades[:, None, None], 30, (72, 24, 24)), 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("archive") / "grades.npz"
    np.savez(path, images=images, labels=np.array(["mild", "moderate", "severe"])[grades], groups=np.arange(72) // 4)
    return path


def test_its_own_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path,
        env={**os.environ, **installed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(done.stdout.split(" passed")[0].split()[-1])
    assert passed > 60  # one for each check


def test_it_is_used_like_any_other(installed: dict[str, str], archive: Path, tmp_path: Path) -> None:
    def toolbox(*arguments: object) -> Finished:
        done = in_a_process(*arguments, "-C", tmp_path, env=installed)
        assert done.code == 0, done.stderr
        return done

    data = ("--data", f"npz:path={archive}")
    assert "erase" in in_a_process("list", "augmenters", env=installed).stdout
    copies = ("--augmenter", "erase:area=0.2", "--factor", 2, "--size", 32, "--set", "augment.engine=joblib")
    summary = toolbox("augment", *data, *copies, "--json").document
    assert summary["written"] == 2 * summary["sources"] > 0
    tracker = ("--set", "training.trackers=['markdown']")
    run = toolbox(
        "train", "small-cnn:width=8", *data, "--epochs", 6, "--size", 32, "--evaluator", "graded", *tracker, "--json"
    ).document
    table = (tmp_path / run["path"] / "losses.md").read_text("utf-8").splitlines()
    assert len([line for line in table if line.startswith("| train |")]) == 6 and "finished" in table[-1]
    assert run["metrics"]["weighted_kappa"]["value"] > 0.5
    other = ("--evaluator", 'graded:weights=linear,order=["severe","moderate","mild"]')
    again = toolbox("evaluate", run["run"], *other, "--json").document
    assert again["metrics"]["weighted_kappa"]["label"] == "linear-weighted kappa"
