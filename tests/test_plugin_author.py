"""A plugin's life in a fresh environment: written by one command, installed, used, checked, frozen, removed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import broken
from tests.conftest import write_photos
from tests.fresh import Environment, environment

KINDS = ("dataset", "augmenter", "model", "evaluator", "tracker", "engine")


@pytest.fixture
def fresh(tmp_path: Path) -> Environment:
    """An environment of the test's own."""
    return environment(tmp_path / "environment")


@pytest.mark.slow
def test_from_new_to_copies_without_editing(fresh: Environment, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    assert fresh.toolbox("plugins", "new", "demo", "--kind", "augmenter", cwd=tmp_path).code == 0
    installed = fresh.run("-m", "pip", "install", "./toolbox-demo", cwd=tmp_path)
    assert installed.code == 0, installed.stderr
    made = fresh.toolbox(
        *("augment", "--augmenter", "demo:strength=0.3", "--factor", 3, "--size", 32, "--data", "photos", "--json"),
        cwd=tmp_path,
    )
    assert made.code == 0, made.stderr
    assert len(list((tmp_path / made.document["path"]).glob("*/*.jpg"))) == made.document["written"] > 0
    lineage = (tmp_path / made.document["path"] / "lineage.jsonl").read_text("utf-8").splitlines()
    assert {-0.3 <= json.loads(line)["params"]["brightness"] <= 0.3 for line in lineage} == {True}
    checked = fresh.toolbox("plugins", "check", "demo", cwd=tmp_path)
    assert checked.code == 0 and "demo: passes" in checked.stdout, checked.stdout + checked.stderr
    own = fresh.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path / "toolbox-demo")
    assert own.code == 0 and "1 passed" in own.stdout, own.stdout


@pytest.mark.slow
def test_one_of_every_kind(fresh: Environment, tmp_path: Path) -> None:
    kinds = [word for kind in KINDS for word in ("--kind", kind)]
    assert fresh.toolbox("plugins", "new", "my-own", *kinds, cwd=tmp_path).code == 0
    installed = fresh.toolbox("plugins", "install", "./toolbox-my-own", "--yes", "--json", cwd=tmp_path)
    assert installed.code == 0 and installed.document["plugins"] == ["my-own"], installed.stderr
    listed = fresh.toolbox("plugins", "list", "--json", cwd=tmp_path).document["plugins"]
    mine = next(row for row in listed if row["name"] == "my-own")
    assert [item["kind"] for item in mine["components"]] == list(KINDS) and mine["api_version"] == 1
    trained = fresh.toolbox(
        *("train", "my-own:filters=4", "--data", "my-own:count=24,size=32", "--evaluator", "my-own", "--epochs", 1),
        *("--augmenter", "my-own", "--train-on", "online", "--set", "training.trackers=['my-own']", "--json"),
        cwd=tmp_path,
    )
    assert trained.code == 0, trained.stderr
    assert 0 <= trained.document["metrics"]["my_own_hits"]["value"] <= 1
    again = fresh.toolbox("plugins", "install", "./toolbox-my-own", "--yes", "--json", cwd=tmp_path)
    assert again.document["install"] == [{"name": "toolbox-my-own", "version": "0.1.0", "present": "0.1.0"}]
    assert again.document["plugins"] == ["my-own"]
    checked = fresh.toolbox("plugins", "check", "my-own", "--json", cwd=tmp_path)
    assert checked.code == 0 and checked.document["findings"] == [], checked.stdout


@pytest.mark.slow
def test_install_shows_asks_and_loads_nothing(fresh: Environment, tmp_path: Path) -> None:
    """A wheel: looked at and installed without a line of it being run."""
    loud = tmp_path / "loud"
    assert fresh.toolbox("plugins", "new", "loud", "--out", loud, cwd=tmp_path).code == 0
    hooks = loud / "toolbox-loud" / "toolbox_loud" / "__init__.py"
    hooks.write_text("raise SystemExit('I was loaded')\n", "utf-8")
    built = fresh.run("-m", "pip", "wheel", "--no-deps", "-w", "wheels", "./loud/toolbox-loud", cwd=tmp_path)
    assert built.code == 0, built.stderr
    wheel = next((tmp_path / "wheels").glob("*.whl")).relative_to(tmp_path)
    nobody = fresh.toolbox("plugins", "install", wheel, cwd=tmp_path)
    assert nobody.code == 2 and "--yes" in nobody.stderr and "toolbox-loud 0.1.0" in nobody.stdout
    assert "A plugin is code" in nobody.stderr
    assert fresh.toolbox("plugins", "install", wheel, cwd=tmp_path, answer="n\n").code == 130
    dry = fresh.toolbox("plugins", "install", wheel, "--dry-run", "--json", cwd=tmp_path)
    assert dry.document["install"] == [{"name": "toolbox-loud", "version": "0.1.0", "present": ""}]
    assert not list(fresh.site.glob("toolbox_loud*"))
    done = fresh.toolbox("plugins", "install", wheel, cwd=tmp_path, answer="y\n")
    assert done.code == 0 and "I was loaded" not in done.stderr + done.stdout, done.stderr
    listed = fresh.toolbox("plugins", "list", "--json", cwd=tmp_path).document["plugins"]
    assert next(row["error"] for row in listed if row["name"] == "loud") == "called sys.exit('I was loaded')"
    removed = fresh.toolbox("plugins", "uninstall", "loud", "--yes", "--json", cwd=tmp_path)
    assert removed.code == 0 and removed.document["uninstalled"] == "toolbox-loud", removed.stderr
    assert not list(fresh.site.glob("toolbox_loud*"))


def test_uninstall_removes_what_fails_at_import(fresh: Environment, tmp_path: Path) -> None:
    broken.distribution(fresh.site, "raises", "broken_raises", broken.BROKEN["raises"][0])
    broken.distribution(fresh.site, "hangs", "broken_hangs", "import time\nwhile True: time.sleep(0.01)")
    for name in ("raises", "toolbox-hangs"):
        done = fresh.toolbox("plugins", "uninstall", name, "--yes", cwd=tmp_path)
        assert done.code == 0 and "no luck" not in done.stderr, done.stderr
    assert not list(fresh.site.glob("*broken*")) and not list(fresh.site.glob("toolbox_*"))


def committed(folder: Path) -> str:
    """Make ``folder`` a git repository; the commit that holds it."""
    me = ("-c", "user.name=me", "-c", "user.email=me@here")
    for words in (("init", "-q"), ("add", "-A"), (*me, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_freeze_is_what_install_takes_back(fresh: Environment, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        assert fresh.toolbox("plugins", "new", name, cwd=tmp_path).code == 0
    repository = f"git+{(tmp_path / 'toolbox-three').as_uri()}"
    commit = committed(tmp_path / "toolbox-three")
    assert fresh.toolbox("plugins", "install", repository, "--yes", cwd=tmp_path).code == 0
    assert fresh.toolbox("plugins", "install", "./toolbox-one", "--yes", cwd=tmp_path).code == 0
    assert fresh.run("-m", "pip", "install", "--no-deps", "-e", "./toolbox-two", cwd=tmp_path).code == 0
    frozen = fresh.toolbox("plugins", "freeze", cwd=tmp_path).stdout
    assert f"toolbox-one @ {(tmp_path / 'toolbox-one').as_uri()}" in frozen
    assert f"-e {(tmp_path / 'toolbox-two').as_uri()}" in frozen
    assert f"{repository}@{commit}" in frozen.splitlines()
    (tmp_path / "plugins.txt").write_text(frozen, "utf-8")
    for name in ("one", "two", "three"):
        assert fresh.toolbox("plugins", "uninstall", name, "--yes", cwd=tmp_path).code == 0
    assert fresh.toolbox("plugins", "freeze", cwd=tmp_path).stdout == ""
    back = fresh.toolbox("plugins", "install", "plugins.txt", "--yes", "--json", cwd=tmp_path)
    assert back.code == 0 and back.document["plugins"] == ["one", "three", "two"], back.stderr
    assert fresh.toolbox("plugins", "freeze", cwd=tmp_path).stdout == frozen
