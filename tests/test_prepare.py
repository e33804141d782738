"""``data prepare``: the reader's pixels resized, what belongs to them kept, the folder whole or not there."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.background import Background, run_command, start_command
from tests.conftest import Toolbox, write_photos
from tests.hostile import encoded, photo
from toolbox import Workspace
from toolbox.api.dataset import Dataset
from toolbox.api.images import decode, resize_to_square
from toolbox.data.manifest import Row
from toolbox.data.prepare import run as prepare
from toolbox.data.prepare.names import name_files
from toolbox.data.source import ImageChanged, Source
from toolbox.files.names import filesystem_key


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_study_as_preprocessing_and_what_comes_after(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    ws, out = tmp_path / "ws", tmp_path / "grey"
    done = toolbox("data", "prepare", "--size", 16, "--channels", 1, "--data", photos, "--out", out, "--json")
    assert done.code == 0 and (done.document["written"], done.document["quarantined"]) == (24, 0)
    for row in table(out):
        image = Image.open(out / row["path"])
        source = decode((photos / row["source_path"]).read_bytes()).image
        assert image.mode == "L" and np.array_equal(image, resize_to_square(source, 16).convert("L"))
    augmented = toolbox("augment", "--factor", 2, "--size", 16, "--data", out / "manifest.csv", "-C", ws, "--json")
    assert augmented.code == 0 and augmented.document["written"] == 40
    assert toolbox("data", "inspect", "--data", out, "--json").document["classes"] == {"left": 12, "right": 12}


def test_samples_keep_their_ids_so_that_they_are_dealt_alike(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    out = Workspace(tmp_path, data=photos).prepare(16, out=tmp_path / "small").manifest
    dealt = []
    for name, data in (("a", photos), ("b", out)):
        assert toolbox("data", "split", "--val", 0.3, "--data", data, "-C", tmp_path / name).code == 0
        dealt.append({row["id"]: row["split"] for row in table(tmp_path / name)})
    assert dealt[0] == dealt[1] and set(dealt[0].values()) == {"train", "val", "test"}


def test_groups_splits_columns_and_sources_are_kept(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    listed = tmp_path / "mine.csv"
    lines = ["path,label,group,split,age,source_path"]
    for number, file in enumerate(sorted(photos.rglob("*.png"))):
        split = ("train", "val", "test")[number % 3]
        lines.append(f"{file.relative_to(tmp_path)},{file.parent.name},p{number % 4},{split},{number},mine")
    listed.write_text("\n".join(lines))
    out = tmp_path / "out"
    assert toolbox("data", "prepare", "--data", listed, "--out", out, "--size", 8).code == 0
    for number, row in enumerate(table(out)):
        assert (row["group"], row["age"], row["source_path"]) == (f"p{number % 4}", str(number), "mine")
        assert row["path"].startswith(f"{row['split']}/{row['label']}/") and (out / row["path"]).is_file()
        assert row["source_path_"] == row["id"] and len(row["source_sha256_"]) == 64
    as_folder = toolbox("data", "inspect", "--data", out, "--json").document
    assert {split: sum(counts.values()) for split, counts in as_folder["counts"].items()} == dict.fromkeys(
        ("train", "val", "test"), 8
    )


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_equal_inputs_give_equal_bytes_and_hashes_that_hold(photos: Path, tmp_path: Path, kind: str) -> None:
    for name in ("one", "two"):
        Workspace(tmp_path, data=photos).prepare(16, "3", kind, tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    again = Workspace(tmp_path / "ws", data=tmp_path / "one" / "manifest.csv").split.manifest
    written = {row["id"]: (row["sha256"], row["pixels"], row["width"]) for row in table(tmp_path / "one")}
    assert {row.id: (row.sha256, row.pixels, str(row.width)) for row in again.rows} == written


def test_without_out_the_folder_is_named_after_what_is_in_it(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    command = ("data", "prepare", "--data", photos, "-C", tmp_path / "ws", "--size", 16, "--json")
    first, again = toolbox(*command).document, toolbox(*command).document
    assert first["path"] == again["path"] and (again["written"], again["skipped"]) == (0, 24)
    photo(1).save(photos / "left" / "new.png")
    assert toolbox(*command).document["path"] != first["path"]
    assert not list((tmp_path / "ws" / "prepared").glob(".*"))


def test_a_virtual_dataset_becomes_files_and_keeps_its_warning(toolbox: Toolbox, tmp_path: Path) -> None:
    out = tmp_path / "slices"
    command = ("data", "prepare", "--data", "phantom:subjects=8,slices=2", "--size", 32, "--out", out)
    assert toolbox(*command).code == 0
    rows = table(out)
    assert (
        len(rows) == 16 and len({row["group"] for row in rows}) == 8 and all(row["source_sha256"] == "" for row in rows)
    )
    assert rows[0]["path"] == f"{rows[0]['label']}/sub-001_z-0.png" and rows[0]["source_path"] == "sub-001#z=0"
    assert "synthetic" in toolbox("data", "inspect", "--data", out / "manifest.csv", "--json").document["note"]


def test_names_are_made_safe_and_none_falls_together_with_another(toolbox: Toolbox, tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", per_class=1), tmp_path / "out"
    names = ["con.png", "a.jpg", "a.png", "A.jpg", "x:y?.png", "🐈.png", "é.png", "e\u0301.png", "n" * 246 + ".png"]
    for number, name in enumerate(names):
        (photos / "left" / name).write_bytes(encoded(photo(number), "PNG"))
    (photos / "left" / "sub-01" / "a.png").mkdir(parents=True)
    photo(50).save(photos / "left" / "sub-01" / "a.png" / "1.png")
    photo(51).save(photos / "left" / "sub-01" / "a.jpg")
    assert toolbox("data", "prepare", "--data", photos, "--out", out, "--size", 8).code == 0
    paths = [row["path"] for row in table(out)]
    assert len({filesystem_key(path) for path in paths}) == len(paths) == 13
    for path in paths:
        assert (out / path).is_file() and all(len(part.encode()) < 120 and ":" not in part for part in path.split("/"))
        assert path.rpartition("/")[2].split(".")[0].lower() != "con"
    assert "left/sub-01/a.png/1.png" in paths


NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)


@given(st.lists(st.tuples(NAME, st.lists(NAME, max_size=2), NAME), min_size=1, max_size=8))
def test_any_paths_get_files_of_their_own(found: list[tuple[str, list[str], str]]) -> None:
    paths = dict.fromkeys("/".join([label, *below, name]) for label, below, name in found)
    rows = [Row(path, path, path.split("/")[0]) for path in paths]
    names = name_files(rows, Source(_Nothing(), "x"), ".png")
    keys = {filesystem_key(name) for name in names.values()}
    folders = {filesystem_key(str(above)) for name in names.values() for above in Path(name).parents}
    assert len(keys) == len(rows) and not keys & folders


class _Nothing(Dataset):
    def samples(self):  # type: ignore[no-untyped-def]
        return iter(())


def test_a_dry_run_tells_files_and_disk_and_writes_nothing(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    done = toolbox("data", "prepare", "--data", photos, "-C", tmp_path / "ws", "--size", 16, "--dry-run", "--json")
    assert done.code == 0 and done.document["files"] == 24 and done.document["bytes"] == 24 * 4096
    assert not (tmp_path / "ws").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "0"], "--size 0"),
        (["--size", "100000"], "--size 100000"),
        (["--channels", "2"], "none of 1, 3, keep"),
        (["--format", "gif"], "none of png, jpeg"),
        (["--out", "full"], "exists and is not empty"),
        (["--out", "file"], "is a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_nonsense_is_refused_before_anything_is_written(
    toolbox: Toolbox, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    done = toolbox("data", "prepare", "--data", photos, *options)
    assert done.code == 2 and words in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def begin(photos: Path, out: Path, size: int) -> Background:
    return start_command("data", "prepare", "--data", photos, "--out", out, "--size", size)


def killed_halfway(photos: Path, out: Path) -> Path:
    """Kill it with the first of its files on disk; the folder in which it worked."""
    process = begin(photos, out, 256)
    workshop, deadline = out.with_name(f".{out.name}.partial"), time.monotonic() + 60
    while not list(workshop.rglob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not out.exists()
    return workshop


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_one_leaves_nothing_by_its_name_and_goes_on(
    toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, out = write_photos(tmp_path / "photos", per_class=40), tmp_path / "out"
    Workspace(tmp_path, data=photos).prepare(256, out=tmp_path / "whole")
    workshop = killed_halfway(photos, out)
    assert toolbox("data", "prepare", "--data", photos, "--out", out, "--size", 256).code == 0
    assert contents(out) == contents(tmp_path / "whole") and not workshop.exists()


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_another_request_clears_what_a_killed_one_left(toolbox: Toolbox, tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", per_class=40), tmp_path / "out"
    killed_halfway(photos, out)
    Workspace(tmp_path, data=photos).prepare(16, "1", out=tmp_path / "whole")
    assert toolbox("data", "prepare", "--data", photos, "--out", out, "--size", 16, "--channels", 1).code == 0
    assert contents(out) == contents(tmp_path / "whole")


def test_what_the_journal_names_is_not_made_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_SHARD", 10)
    ws, out = Workspace(tmp_path, data=photos), tmp_path / "out"
    todo = ws.plan_prepare(16, out=out)
    (photos / "right" / "right-05.png").rename(tmp_path / "away.png")  # the last shard can't be made
    with pytest.raises(ImageChanged, match="can't be read any more"):
        prepare.write_folder(todo, ws.reporter)
    assert not out.exists()
    shutil.move(tmp_path / "away.png", photos / "right" / "right-05.png")
    done = Workspace(tmp_path, data=photos).prepare(16, out=out)
    assert (done.written, done.skipped) == (14, 10)
    Workspace(tmp_path, data=photos).prepare(16, out=tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="no SIGSTOP")
def test_a_second_process_is_turned_away(toolbox: Toolbox, tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", per_class=40), tmp_path / "out"
    process = begin(photos, out, 256)
    try:
        while not out.with_name(".out.partial").exists() and process.running:
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)
        done = toolbox("data", "prepare", "--data", photos, "--out", out, "--size", 256)
        assert done.code == 1 and "another process is preparing" in done.stderr
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.wait() == 0 and len(table(out)) == 80


def test_a_folder_of_the_users_by_the_hidden_name_is_left_alone(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    mine = tmp_path / ".out.partial" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    done = toolbox("data", "prepare", "--data", photos, "--out", tmp_path / "out")
    assert done.code == 2 and "toolbox did not write" in done.stderr and mine.read_text() == "mine"


def prepare_with_small_files(*words: str) -> int:
    """Writes beyond 2,000 bytes fail as on a full disk."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    return run_command("data", "prepare", *words)


@pytest.mark.skipif(os.name == "nt", reason="no file size limits")
def test_a_disk_that_takes_no_more_is_told_in_one_line(photos: Path, tmp_path: Path) -> None:
    words = map(str, ("--data", photos, "--out", tmp_path / "out", "--size", 128))
    process = Background(prepare_with_small_files, *words)
    assert process.wait() == 1
    assert "error: can't write" in process.stderr and "Traceback" not in process.stderr
    assert not (tmp_path / "out").exists()


def test_a_place_that_can_not_be_written_is_told_in_one_line(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = toolbox("data", "prepare", "--data", photos, "--out", tmp_path / "file" / "out")
    assert done.code == 1 and "error: can't" in done.stderr and "Traceback" not in done.stderr


def test_what_the_reader_had_to_do_is_kept_beside_each_image(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    deep = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(photos / "left" / "deep.png")
    (photos / "left" / "bad.jpg").write_text("text")
    out = tmp_path / "out"
    assert toolbox("data", "prepare", "--data", photos, "--out", out).code == 3
    notes = {row["id"]: row["source_note"] for row in table(out)}
    assert "0 to 4095 windowed" in notes["left/deep.png"] and notes["left/left-00.png"] == ""
    assert "left/bad.jpg" in (out / "quarantine.csv").read_text()
    assert json.loads((out / "prepared.json").read_text())["quarantined"] == 1


def test_real_photos(toolbox: Toolbox, real_data: Path, tmp_path: Path) -> None:
    done = toolbox(
        "data", "prepare", "--data", real_data / "cats_dogs", "--channels", 1, "--out", tmp_path / "x", "--json"
    )
    assert done.code == 0 and done.document["written"] == 802
    assert done.document["counts"]["test"] == {"Cats": 50, "Dogs": 50}


def test_a_source_that_changes_meanwhile_is_not_taken_for_the_one_that_was_read(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path, data=photos)
    todo = ws.plan_prepare(16, out=tmp_path / "out")
    photo(1).save(photos / "left" / "left-00.png")
    with pytest.raises(ImageChanged, match=r"left-00\.png has changed since"):
        prepare.write_folder(todo, ws.reporter)
    assert not (tmp_path / "out").exists()


def test_beside_a_table_there_is_room_but_not_among_its_images(
    toolbox: Toolbox, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"photos/{label}/{label}-{number:02d}.png,{label}" for label in ("left", "right") for number in range(12)]
    Path("mine.csv").write_text("\n".join(["path,label", *lines]))
    for data in ("mine.csv", "csv:path=mine.csv"):
        refused = toolbox("data", "prepare", "--data", data, "--out", photos / "new")
        assert refused.code == 2 and "dataset's own folder" in refused.stderr and not (photos / "new").exists()
        assert toolbox("data", "prepare", "--data", data, "--size", 8).code == 0


@pytest.mark.parametrize("prefix", ["../photos", "absolute"])
def test_a_table_may_name_images_outside_its_folder(
    toolbox: Toolbox, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """The workspace, and everything written, may then lie beside the table, but not among the images."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    folder = photos if prefix == "absolute" else prefix
    lines = [
        f"{folder}/{label}/{label}-{number:02d}.png,{label}" for label in ("left", "right") for number in range(12)
    ]
    Path("mine.csv").write_text("\n".join(["path,label", *lines]))
    refused = toolbox("data", "prepare", "--data", "mine.csv", "--out", photos / "left" / "new")
    assert refused.code == 2 and "dataset's own folder" in refused.stderr
    assert toolbox("data", "prepare", "--data", "mine.csv", "--size", 8).code == 0
    assert toolbox("data", "split", "--data", "mine.csv").code == 0
    assert toolbox("augment", "--data", "manifest.csv", "--factor", 2, "--workers", 0).code == 0
