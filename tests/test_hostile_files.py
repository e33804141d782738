"""Bad files are quarantined, exactly they, by every command; the user's files stay as they are."""

from __future__ import annotations

import csv
import hashlib
import os
import unicodedata
from pathlib import Path

import pytest

from tests.conftest import Toolbox, write_photos
from tests.hostile import Hostile, build, encoded, photo

TINY = ("--no-pretrained", "--size", 32, "--epochs", 1)
FINETUNE = ("finetune", "timm:arch=test_resnet", *TINY)
COMMANDS = {
    "inspect": ("data", "inspect"),
    "split": ("data", "split"),
    "prepare": ("data", "prepare", "--size", 32),
    "augment": ("augment", "--factor", 2, "--size", 32),
    "finetune": FINETUNE,
}


@pytest.fixture
def hostile(tmp_path: Path) -> Hostile:
    return build(tmp_path)


def column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


@pytest.mark.parametrize("command", COMMANDS)
def test_exactly_the_bad_ones_are_quarantined_and_the_rest_is_used(
    toolbox: Toolbox, hostile: Hostile, tmp_path: Path, command: str
) -> None:
    ws = tmp_path / "ws"
    done = toolbox(*COMMANDS[command], "--data", hostile.root, "-C", ws, "--json")
    assert done.code == 3, done.stderr
    assert f"{len(hostile.bad)} files" in done.stderr and "Traceback" not in done.stderr
    assert "'nothing' has no image" in done.stderr
    if command == "inspect":
        assert {item["path"] for item in done.document["quarantined"]} == hostile.bad
        assert done.document["images"] == len(hostile.good) and set(done.document["classes"]) == {"left", "right"}
        assert not ws.exists()
        return
    listed = ws / "quarantine.csv"
    if command == "prepare":
        folder = Path(done.document["path"])
        assert set(column(folder / "manifest.csv", "id")) == hostile.good
        listed = folder / "quarantine.csv"
    else:
        assert set(column(ws / "manifest.csv", "id")) == hostile.good
    assert set(column(listed, "path")) == hostile.bad and all(column(listed, "reason"))
    if command == "finetune":
        used = column(ws / done.document["path"] / "predictions.csv", "id")
        assert set(used) <= hostile.good and done.document["n"] > 0


def test_what_was_special_about_a_file_that_is_used_is_noted(toolbox: Toolbox, hostile: Hostile) -> None:
    document = toolbox("data", "inspect", "--data", hostile.root, "--json").document
    notes = {item["path"]: item["note"] for item in document["notes"]}
    assert "first of 2 frames" in notes["left/moving.gif"] and "first of 2 frames" in notes["left/moving.webp"]
    assert "windowed" in notes["left/deep.png"] and "transparency" in notes["left/rgba.png"]
    assert document["modes"]["CMYK"] == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("twins", [("Cat", "cat"), ("caf\u00e9", "cafe\u0301")], ids=["case", "unicode"])
def test_classes_that_some_file_system_takes_for_one_end_it_before_anything_is_written(
    toolbox: Toolbox, tmp_path: Path, command: str, twins: tuple[str, str]
) -> None:
    assert unicodedata.normalize("NFC", twins[0]).casefold() == unicodedata.normalize("NFC", twins[1]).casefold()
    for number, name in enumerate(twins):
        folder = tmp_path / "photos" / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            pytest.skip("this file system takes them for one")
        for count in range(12):
            photo(100 * number + count).save(folder / f"{count}.png")
    before = tree(tmp_path)
    done = toolbox(*COMMANDS[command], "--data", tmp_path / "photos", "-C", tmp_path / "ws")
    assert done.code == 2 and "differ only in case or Unicode form" in done.stderr
    assert tree(tmp_path) == before


def tree(root: Path) -> str:
    """A hash of everything below ``root``: paths, kinds, modes, times of change, bytes and where links lead."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = Path(folder) / name
            info = path.lstat()
            digest.update(f"{path.relative_to(root)}\0{info.st_mode}\0{info.st_mtime_ns}\0".encode())
            if path.is_symlink():
                digest.update(str(path.readlink()).encode())
            elif path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def test_the_hash_of_a_tree_notices_every_change(photos: Path) -> None:
    file, seen = photos / "left" / "left-00.png", {tree(photos)}
    file.chmod(0o600)
    seen.add(tree(photos))
    os.utime(file, ns=(0, 1))
    seen.add(tree(photos))
    (photos / "left" / "new").mkdir()
    seen.add(tree(photos))
    assert len(seen) == 4


def test_nothing_below_the_datasets_folder_is_changed(toolbox: Toolbox, hostile: Hostile, tmp_path: Path) -> None:
    ws, common = tmp_path / "ws", ("--data", hostile.root, "-C", tmp_path / "ws")
    before = tree(hostile.root)
    for arguments in (
        ("data", "inspect", "--picture", tmp_path / "sheet.png", "--samples", *common),
        *((*COMMANDS[name], *common) for name in ("split", "prepare", "augment", "finetune")),
    ):
        assert toolbox(*arguments).code == 3
    assert toolbox("report", "-C", ws).code == 0
    assert tree(hostile.root) == before


def test_what_would_be_written_into_the_datasets_folder_is_refused(
    toolbox: Toolbox, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(photos)
    monkeypatch.chdir(photos)
    for arguments in (
        ("data", "inspect", "--picture", photos / "left" / "left-00.png"),
        ("data", "prepare", "--out", photos / "left"),
        ("data", "prepare", "--out", photos / "new"),
        ("data", "prepare"),
    ):
        done = toolbox(*arguments, "--data", photos)
        assert done.code == 2 and "dataset's own folder" in done.stderr
    assert tree(photos) == before


def test_a_class_without_a_readable_image_does_not_vanish_unseen(toolbox: Toolbox, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    (photos / "third").mkdir()
    (photos / "third" / "a.jpg").write_bytes(encoded(photo(1), "JPEG")[:-200])
    done = toolbox("data", "inspect", "--data", photos)
    assert done.code == 3 and "the class 'third' has no image that can be read" in done.stderr


def test_links_within_the_folder_are_read_and_those_out_of_it_only_when_asked(
    toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, elsewhere = write_photos(tmp_path / "photos"), write_photos(tmp_path / "elsewhere")
    (photos / "left" / "again.png").symlink_to("left-00.png")
    (photos / "up").symlink_to(elsewhere / "left", target_is_directory=True)
    (photos / "left" / "more").symlink_to(elsewhere, target_is_directory=True)
    (photos / "left" / "gone.png").symlink_to("nowhere.png")
    (photos / "left" / "round").symlink_to("../left", target_is_directory=True)
    found = toolbox("data", "inspect", "--data", photos, "--json").document
    assert found["classes"] == {"left": 13, "right": 12}
    assert {item["path"]: item["reason"] for item in found["quarantined"]} == {
        "left/gone.png": "a broken link",
        "left/more": "a link that leads out of the dataset's folder",
        "left/round": "a link to a folder of this dataset, which is read where it lies",
        "up": "a link that leads out of the dataset's folder",
    }
    monkeypatch.chdir(tmp_path)
    followed = toolbox("data", "inspect", "--data", "folder:path=photos,follow_links=true", "--json").document
    assert followed["classes"] == {"left": 13 + 24, "right": 12, "up": 12} and len(followed["quarantined"]) == 2


def test_split_folders_that_are_links_out_of_the_folder_are_not_read(toolbox: Toolbox, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos" / "train")
    write_photos(tmp_path / "elsewhere")
    (tmp_path / "photos" / "test").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = toolbox("data", "inspect", "--data", tmp_path / "photos", "--json")
    assert found.code == 3 and found.document["images"] == 24
    assert [item["path"] for item in found.document["quarantined"]] == ["test/left", "test/right"]


def test_names_that_are_no_text_and_formats_that_are_not_read_are_told(toolbox: Toolbox, photos: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(photos / "left") + b"/\xff.png")).write_bytes(encoded(photo(1), "PNG"))
    except OSError:
        pytest.skip("this file system has no such names")
    (photos / "left" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    found = toolbox("data", "inspect", "--data", photos, "--json").document
    reasons = {item["path"]: item["reason"] for item in found["quarantined"]}
    assert "not valid UTF-8" in reasons["left/\\xff.png"] and "no image in a format" in reasons["left/phone.heic"]
