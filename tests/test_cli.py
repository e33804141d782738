"""The command line as people and scripts meet it: the whole way, and one clear line for every nonsense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Finished, Toolbox, in_a_process, write_photos

TINY = ("--no-pretrained", "--size", 32, "--epochs", 1)


def test_the_whole_way(toolbox: Toolbox, tmp_path: Path) -> None:
    photos, ws = write_photos(tmp_path / "photos"), tmp_path / "ws"
    assert toolbox("init", photos, "-C", ws).code == 0
    inspected = toolbox("data", "inspect", "-C", ws, "--json")
    assert inspected.document["classes"] == {"left": 12, "right": 12}
    split = toolbox("data", "split", "-C", ws, "--json")
    assert split.document["counts"]["test"] == {"left": 1, "right": 1}
    assert toolbox("augment", "--factor", 2, "--size", 32, "-C", ws).code == 0
    tuned = toolbox("finetune", "timm:arch=test_resnet", "--unfreeze-last", "-C", ws, *TINY, "--json")
    assert tuned.code == 0, tuned.stderr
    assert {
        "schema",
        "run",
        "path",
        "split",
        "held_out",
        "n",
        "metrics",
        "confusion_matrix",
        "classes",
        "leaky",
    } <= set(tuned.document)
    assert "copies in" in tuned.stderr
    evaluated = toolbox("evaluate", "-C", ws, "--json")
    assert evaluated.document["metrics"] == tuned.document["metrics"]
    assert toolbox("train", "alzheimer-cnn", "-C", ws, "--epochs", 1, "--size", 32).code == 0
    report = toolbox("report", "-C", ws)
    assert report.code == 0 and "report.html" in report.stdout
    assert "<html" in (ws / "report.html").read_text() and list((ws / "runs").glob("*/figures/*.svg"))


def test_dry_runs_change_nothing(toolbox: Toolbox, tmp_path: Path) -> None:
    photos, ws = write_photos(tmp_path / "photos"), tmp_path / "ws"
    split = toolbox("data", "split", "--data", photos, "-C", ws, "--dry-run")
    assert split.code == 0 and not ws.exists()
    augment = toolbox("augment", "--data", photos, "-C", ws, "--dry-run", "--json", "--factor", 3)
    assert augment.document["files"] == 60 and augment.document["bytes"] > 0
    tune = toolbox("finetune", "timm:arch=test_resnet", "--data", photos, "-C", ws, *TINY, "--dry-run", "--json")
    assert tune.code == 0 and tune.document["train_images"] == 20
    assert not ws.exists()


def test_quiet_prints_nothing(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    done = toolbox("data", "split", "--data", photos, "-C", tmp_path / "ws", "--quiet")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")


def one_line(done: Finished, code: int, *words: str) -> None:
    """The command ended with ``code``, one error line that holds ``words``, and no traceback."""
    assert done.code == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in done.stderr and "internal error" not in done.stderr
    for word in words:
        assert word in done.stderr


COMMANDS = (
    ("data", "inspect"),
    ("data", "split"),
    ("augment", "--factor", 2),
    ("train", "alzheimer-cnn", "--epochs", 1),
    ("finetune", "timm:arch=test_resnet", *TINY),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(map(str, command[:2])))
def test_every_command_tells_what_is_wrong_with_the_data(
    toolbox: Toolbox, tmp_path: Path, command: tuple[object, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("Cat", "cat"):
        write_photos(tmp_path / "twins" / name)
        (tmp_path / "case" / name).mkdir(parents=True)
        (tmp_path / "twins" / name / "left" / "left-00.png").rename(tmp_path / "case" / name / "x.png")
    (tmp_path / "text.csv").write_text("hello\n")
    only = write_photos(tmp_path / "bad" / "a")
    for path in only.rglob("*.png"):
        path.write_bytes(b"nothing")
    for data, words in (
        (tmp_path / "nowhere", "no folder"),
        (tmp_path / "empty", "no class folders"),
        (tmp_path / "case", "differ only in case"),
        (tmp_path / "text.csv", "no column 'path'"),
        (tmp_path / "bad", "can be read"),
        ("phantm", "phantom"),
        ("phantom:subjcts=3", "subjects"),
    ):
        one_line(toolbox(*command, "--data", data, "-C", tmp_path / "ws"), 2, words)
    assert not (tmp_path / "ws" / "manifest.csv").exists()


@pytest.mark.parametrize("command", COMMANDS[1:], ids=lambda command: " ".join(map(str, command[:2])))
def test_one_class_only_is_refused(toolbox: Toolbox, tmp_path: Path, command: tuple[object, ...]) -> None:
    photos = write_photos(tmp_path / "photos")
    for path in (photos / "right").iterdir():
        path.unlink()
    one_line(toolbox(*command, "--data", photos, "-C", tmp_path / "ws"), 2, "only one class")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(map(str, command[:2])))
def test_an_unreadable_file_is_quarantined_and_the_rest_used(
    toolbox: Toolbox, tmp_path: Path, command: tuple[object, ...]
) -> None:
    photos = write_photos(tmp_path / "photos")
    whole = (photos / "left" / "left-03.png").read_bytes()
    (photos / "left" / "left-03.png").write_bytes(whole[: len(whole) // 2])
    (photos / "right" / "note.jpg").write_text("text")
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    done = toolbox(*command, "--data", photos, "-C", tmp_path / "ws", "--json")
    assert done.code == 3, done.stderr
    assert "left/left-03.png" in done.stderr and "right/note.jpg" in done.stderr and "2 files" in done.stderr
    assert json.loads(done.stdout)["schema"] == 1
    if command[1] != "inspect":
        assert len((tmp_path / "ws" / "quarantine.csv").read_text().splitlines()) == 3
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["finetune", "resnot50"], 2, "resnet50"),
        (["finetune", "timm:arch=resnet5"], 2, "resnet"),
        (["finetune", "timm"], 2, "arch"),
        (["finetune", "alzheimer"], 2, "is an augmenter, not a model"),
        (["train", "alzheimer-cnn:varient=test-1"], 2, "variant"),
        (["train", "alzheimer-cnn:variant=test-9"], 2, "variant"),
        (["train", "alzheimer-cnn", "--epochs", "-1"], 2, "epochs"),
        (["train", "alzheimer-cnn", "--epochs", "many"], 2, "valid integer"),
        (["train", "alzheimer-cnn", "--device", "tpu"], 2, "device"),
        (["train", "alzheimer-cnn", "--set", "training.learning=1"], 2, "no setting"),
        (["train", "alzheimer-cnn", "--set", "training.lr"], 2, "KEY=VALUE"),
        (["train", "alzheimer-cnn", "--evaluator", "clasification"], 2, "classification"),
        (["train", "alzheimer-cnn", "--size", "8", "--epochs", "1"], 2, "alzheimer-cnn"),
        (["finetune", "vgg16", "--weights", "nowhere.pth"], 2, "no weight file"),
        (["finetune", "efficientnet-lite0", "--head", "flatter-9"], 2, "flatt"),
        (["augment", "--factor", "0"], 2, "factor"),
        (["augment", "--augmenter", "alzheimr"], 2, "alzheimer"),
        (["data", "split", "--test", "1.5"], 2, "split.test"),
        (["data", "split", "--group-by", "("], 2, "group_by"),
        (["evaluate"], 2, "no finished run"),
        (["evaluate", "7"], 2, "no run '7'"),
        (["report"], 2, "no finished run"),
        (["report", "nope"], 2, "no run 'nope'"),
        (["show", "model", "nope"], 2, "nope"),
        (["show", "thing", "x"], 2, "no kind"),
        (["list", "things"], 2, "no kind"),
        (["frobnicate"], 2, "frobnicate"),
        (["augment", "--nope"], 2, "--nope"),
        (["init", "nowhere/at/all"], 2, "no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_nonsense_ends_with_one_clear_line(
    toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    one_line(toolbox(*arguments), code, words)


def test_with_json_an_error_is_one_document_too(toolbox: Toolbox, tmp_path: Path) -> None:
    done = toolbox("augment", "--data", tmp_path / "nowhere", "--json")
    assert done.document["exit_code"] == done.code == 2 and "no folder" in done.document["error"]


def test_a_broken_settings_file_is_named(toolbox: Toolbox, tmp_path: Path) -> None:
    (tmp_path / "toolbox.toml").write_text("[split]\ntets = 0.2\n")
    one_line(toolbox("data", "split", "-C", tmp_path), 2, "toolbox.toml", "split.tets", "split.test")


def test_init_writes_over_nothing(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    assert toolbox("init", photos, "-C", tmp_path).code == 0
    one_line(toolbox("init", photos, "-C", tmp_path), 2, "already exists")


def test_a_manifest_edited_by_hand_is_not_written_over(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    ws = tmp_path / "ws"
    assert toolbox("data", "split", "--data", photos, "-C", ws).code == 0
    manifest = ws / "manifest.csv"
    edited = manifest.read_text().replace(",test,", ",train,", 1)
    manifest.write_text(edited)
    one_line(toolbox("data", "split", "--data", photos, "-C", ws), 2, "edited")
    given_back = toolbox("data", "split", "--data", manifest, "-C", ws, "--json")
    assert given_back.code == 0 and sum(given_back.document["counts"]["test"].values()) == 1
    assert manifest.read_text() == edited


def test_a_cut_off_record_is_not_in_the_way_of_other_runs(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    ws = tmp_path / "ws"
    for _ in range(2):
        assert toolbox("train", "alzheimer-cnn", "--epochs", 1, "--size", 32, "--data", photos, "-C", ws).code == 0
    record = ws / "runs" / "002-alzheimer-cnn" / "run.json"
    record.write_text(record.read_text()[:40])
    report = toolbox("report", "-C", ws, "--json")
    assert report.code == 0 and [run["run"] for run in report.document["runs"]] == ["001-alzheimer-cnn"]
    one_line(toolbox("report", "002-alzheimer-cnn", "-C", ws), 2, "run.json can't be read")


def test_an_external_test_with_other_classes_is_refused(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    ws = tmp_path / "ws"
    assert toolbox("train", "alzheimer-cnn", "--epochs", 1, "--size", 32, "--data", photos, "-C", ws).code == 0
    (tmp_path / "other").mkdir()
    (photos / "left").rename(tmp_path / "other" / "up")
    (photos / "right").rename(tmp_path / "other" / "down")
    one_line(toolbox("evaluate", "--data", tmp_path / "other", "-C", ws), 2, "same class names")


def test_listings_and_doctor(toolbox: Toolbox) -> None:
    names = {row["name"] for row in toolbox("list", "--json").document["components"]}
    assert {"folder", "phantom", "resnet50"} <= names
    shown = toolbox("show", "model", "resnet50", "--json").document
    assert shown["parts"]["last"]["modules"] == ["layer4"] and shown["parts"]["head"]["modules"] == ["fc"]
    assert "rotation" in toolbox("show", "augmenters", "alzheimer").stdout
    assert toolbox("plugins", "list", "--json").document["plugins"]
    assert toolbox("doctor", "--json").document["failed_plugins"] == []


def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    done = in_a_process("data", "split", "--data", "phantom:subjects=20,slices=1", "--json", cwd=tmp_path)
    assert done.code == 0 and done.document["samples"] == 20
    assert in_a_process("--version").stdout.startswith("toolbox ")
    assert in_a_process("nonsense").code == 2


def test_a_split_that_was_asked_for_stays_until_another_is(toolbox: Toolbox, tmp_path: Path) -> None:
    photos, ws = write_photos(tmp_path / "photos", per_class=40), tmp_path / "ws"
    toolbox("init", photos, "-C", ws)
    asked = toolbox("data", "split", "--val", 0.3, "--group-by", r"-(\d)\d", "--test", 0.2, "-C", ws, "--json").document
    before = (ws / "manifest.csv").read_bytes()
    assert toolbox("augment", "--factor", 1, "--size", 32, "-C", ws).code == 0
    assert (ws / "manifest.csv").read_bytes() == before and asked["counts"]["test"]["left"] == 10
    again = toolbox("data", "split", "-C", ws, "--json").document
    assert again["counts"]["test"]["left"] == 6


def test_of_several_augmented_sets_the_options_single_one_out(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    ws, common = tmp_path / "ws", ("--data", photos, "-C", tmp_path / "ws", "--size", 32)
    for factor in (1, 2):
        assert toolbox("augment", "--factor", factor, *common).code == 0
    train = ("train", "alzheimer-cnn", "--epochs", 1, *common, "--json")
    one_line(toolbox(*train), 2, "several augmented sets match")
    done = toolbox(*train, "--set", "augment.factor=2", "--set", "augment.size=32")
    record = json.loads((ws / done.document["path"] / "run.json").read_text())
    assert record["augmented_recipe"]["factor"] == 2 and sum(record["training_files"].values()) == 40
