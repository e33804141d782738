"""Augmented sets: training images alone, the same however they were made, safe to interrupt."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Toolbox, write_photos
from toolbox.augment import copies, lineage
from toolbox.data import manifest as manifests
from toolbox.data.images import as_array
from toolbox.files import fingerprint
from toolbox.workspace import Workspace

SMALL = {"augment.size": 24, "augment.factor": 4, "augment.augmenter": "alzheimer"}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` and what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_training_images_get_their_copies_and_no_others(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws", data=photos, settings=SMALL)
    result = ws.augment()
    train = {row.id for row in ws.prepared.manifest.part("train")}
    lines = list(lineage.read(result.path / lineage.FILE_NAME))
    assert {line.source for line in lines} == train and len(lines) == result.written == 4 * len(train)
    on_disk = {path.relative_to(result.path).as_posix() for path in result.path.rglob("*.jpg")}
    assert on_disk == {line.path for line in lines}
    assert all(Path(line.path).parent.name == line.source.split("/")[0] for line in lines)


def test_each_line_of_lineage_is_enough_to_make_its_file_again(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws", data=photos, settings={**SMALL, "augment.format": "png"})
    folder = ws.augment().path
    augmenter = ws.registry.augmenter("alzheimer")
    for line in list(lineage.read(folder / lineage.FILE_NAME))[::7]:
        made = copies.make(augmenter, Image.open(photos / line.source).convert("RGB"), [line.params], 24)[0]
        assert np.array_equal(made, as_array(Image.open(folder / line.path)))
        assert fingerprint.of_bytes((folder / line.path).read_bytes()) == line.sha256


def test_the_set_is_a_dataset_whose_copies_stay_with_their_source(photos: Path, tmp_path: Path) -> None:
    folder = Workspace(tmp_path / "ws", data=photos, settings=SMALL).augment().path
    table = manifests.read(folder / manifests.FILE_NAME)
    assert {row.group for row in table.rows} == {row.columns["source"] for row in table.rows}
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    again = Workspace(tmp_path / "two", data=moved / manifests.FILE_NAME, settings={"split.test": 0, "split.val": 0})
    assert len(again.prepared.manifest.rows) == len(table.rows) and not again.prepared.quarantined


def test_two_runs_give_the_same_bytes_and_a_seed_others(photos: Path, tmp_path: Path) -> None:
    first, second, other = (
        Workspace(tmp_path / name, data=photos, settings={**SMALL, "seed": seed}).augment().path
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert tree(first) == tree(second)
    assert set(tree(first).values()).isdisjoint(tree(other).values())


def test_the_source_itself_comes_first_if_asked_for(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path, data=photos, settings={**SMALL, "augment.include_source": True, "augment.format": "png"})
    folder = ws.augment().path
    line = next(line for line in lineage.read(folder / lineage.FILE_NAME) if line.copy == 0)
    expected = copies.resized(Image.open(photos / line.source), 24)
    assert line.params == {} and np.array_equal(as_array(Image.open(folder / line.path)), expected)


def test_grey_stays_grey(tmp_path: Path) -> None:
    for path in write_photos(tmp_path / "photos").rglob("*.png"):
        Image.open(path).convert("L").save(path)
    folder = Workspace(tmp_path / "ws", data=tmp_path / "photos", settings=SMALL).augment().path
    assert {Image.open(path).mode for path in folder.rglob("*.jpg")} == {"L"}


def test_nothing_is_made_twice_and_a_new_recipe_is_a_new_set(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    options = ["--data", photos, "-C", tmp_path / "ws", "--json", "--size", 24]
    first = toolbox("augment", "--factor", 2, *options)
    second = toolbox("augment", "--factor", 2, *options)
    third = toolbox("augment", "--factor", 3, *options)
    assert (first.code, first.document["skipped"], first.document["quarantined"]) == (0, 0, 0)
    assert (second.document["written"], second.document["skipped"]) == (0, first.document["written"])
    assert third.document["path"] != first.document["path"]


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", per_class=40)
    settings = {"augment.size": 64, "augment.factor": 30}
    whole = Workspace(tmp_path / "whole", data=photos, settings=settings).augment().path
    command = [sys.executable, "-m", "toolbox", "augment", "--data", str(photos), "--factor", "30", "--size", "64"]
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, "-C", str(killed)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    partial = killed / "augmented" / f".{whole.name}.partial"
    deadline = time.monotonic() + 60
    while not list(partial.glob("*/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert partial.exists(), "killed too late to show anything"
    done = subprocess.run([*command, "-C", str(killed), "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["written"] > 0
    assert tree(killed / "augmented" / whole.name) == tree(whole)


def test_a_lineage_that_was_cut_off_loses_its_last_line_only(tmp_path: Path) -> None:
    lines = [lineage.Line(f"{n}.jpg", "s", "p", n, 0, {"flip": True}, "x") for n in range(3)]
    file = tmp_path / lineage.FILE_NAME
    lineage.append(file, lines)
    file.write_bytes(file.read_bytes()[:-5])
    assert lineage.repair(file) == lines[:2]
    lineage.append(file, lines[2:])
    assert list(lineage.read(file)) == lines


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    toolbox: Toolbox, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 4096, 4096))
    done = toolbox("augment", "--data", photos, "-C", tmp_path / "ws", "--factor", 50)
    assert done.code == 1 and "need about" in done.stderr and not list(tmp_path.rglob("*.jpg"))


def test_draws_depend_on_the_key_alone() -> None:
    draw = [
        copies.generator(0, "p", 1).random(),
        copies.generator(0, "p", 2).random(),
        copies.generator(1, "p", 1).random(),
    ]
    assert len(set(draw)) == 3 and copies.generator(0, "p", 1).random() == draw[0]


def test_reduction_is_filtered_against_aliasing() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    assert np.asarray(copies.filtered(stripes, 16)).std() < 30
    assert copies.filtered(stripes, 64) is stripes
