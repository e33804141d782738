"""Commands that only look leave a workspace as it is, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Toolbox
from tests.test_old_workspace import copy_old_workspace

STUDY = """\
seeds = [0]

[base]
data = "photos"
model = "alzheimer-cnn"
training.epochs = 1
training.size = 32

[arms.originals]

[arms.augmented]
training.train_on = "augmented"
augment.factor = 2
augment.size = 32
"""

READ_ONLY = (
    ("data", "inspect", "--samples"),
    ("data", "inspect", "--set", "split.test=0.4"),
    ("data", "split", "--dry-run", "--test", 0.4, "--seed", 9),
    ("data", "prepare", "--dry-run"),
    ("data", "audit", "--set", "split.test=0.4"),
    ("augment", "--dry-run", "--factor", 3),
    ("augment", "--preview", 1, "--factor", 3),
    ("augment", "--verify"),
    ("train", "alzheimer-cnn", "--dry-run", "--set", "split.test=0.4"),
    ("finetune", "timm:arch=test_resnet", "--no-pretrained", "--dry-run"),
    ("compare", 2, 3),
    ("predict", 1, "external/left", "--csv", "-"),
    ("study", "plan", "plan.toml"),
    ("study", "status", "study.toml"),
    ("study", "show", "study.toml"),
)
OUTPUTS = {"audit": {"audit.json", "audit.html"}, "--preview": {"preview.png"}}
"""What looking is for: these files may be written."""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_looking_changes_nothing(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = copy_old_workspace(tmp_path / "old")
    monkeypatch.chdir(place)
    (place / "plan.toml").write_text(STUDY)
    before = contents(place)
    for words in READ_ONLY:
        done = toolbox(*words)
        assert done.code in (0, 4), (words, done.stderr)  # 4: the audit found a leak
        after = contents(place)
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        assert changed <= OUTPUTS.get(str(words[1]), set()), words
        before = after


def test_looking_at_a_new_folder_creates_nothing(
    toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "new"
    place.mkdir()
    (place / "plan.toml").write_text(STUDY)
    monkeypatch.chdir(place)
    for words in (
        ("data", "inspect"),
        ("data", "split", "--dry-run"),
        ("data", "prepare", "--dry-run"),
        ("data", "audit", "--canary", "--canary-epochs", 1, "--set", "training.size=32"),
        ("augment", "--dry-run"),
        ("train", "alzheimer-cnn", "--dry-run", "--size", 32),
        ("study", "plan", "plan.toml"),
    ):
        done = toolbox(*words, "--data", "phantom:subjects=20,slices=3,size=32")
        assert done.code == 0, (words, done.stderr)
        assert set(contents(place)) == {"plan.toml"}, words
    assert toolbox("data", "audit", "--data", "phantom:subjects=20,slices=3,size=32").code == 0
    assert set(contents(place)) == {"plan.toml", "audit.json", "audit.html"}
