"""Augmented sets: training images alone, the same however they were made, safe to interrupt."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import UsageError
from toolbox.api.images import as_array
from toolbox.api.warp import prefilter
from toolbox.augment import encode, lineage, writer
from toolbox.data import manifest as manifests
from toolbox.data.source import ImageChanged
from toolbox.files import fingerprint
from toolbox.files.atomic import append_lines
from toolbox.plugin.registry import Registry
from toolbox.workspace import Workspace

SMALL = {"augment.size": 24, "augment.factor": 4, "augment.augmenter": "alzheimer"}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` and what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_training_images_get_their_copies_and_no_others(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws", data=photos, settings=SMALL)
    result = ws.augment()
    train = {row.id for row in ws.split.manifest.part("train")}
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
        source = encode.repeat_source(Image.open(photos / line.source).convert("RGB"), 24, 1)
        made = augmenter.apply(source, [line.params], 24)[0]
        assert np.array_equal(made, as_array(Image.open(folder / line.path)))
        assert fingerprint.of_bytes((folder / line.path).read_bytes()) == line.sha256


def test_the_set_is_a_dataset_whose_copies_stay_with_their_source(photos: Path, tmp_path: Path) -> None:
    folder = Workspace(tmp_path / "ws", data=photos, settings=SMALL).augment().path
    table = manifests.read(folder / manifests.FILE_NAME)
    assert {row.group for row in table.rows} == {row.columns["source"] for row in table.rows}
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    again = Workspace(tmp_path / "two", data=moved / manifests.FILE_NAME, settings={"split.test": 0, "split.val": 0})
    assert len(again.split.manifest.rows) == len(table.rows) and not again.split.quarantined


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
    expected = encode.resize_source(Image.open(photos / line.source), 24)
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


def test_a_source_that_changed_meanwhile_is_noticed(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws", data=photos, settings=SMALL)
    row = ws.split.manifest.part("train")[3]
    Image.new("RGB", (40, 32), "red").save(photos / row.path)
    with pytest.raises(ImageChanged, match="has changed since it was read"):
        ws.augment()
    assert Workspace(tmp_path / "ws", data=photos, settings=SMALL).augment().written > 0


def test_verify_names_what_is_missing_changed_and_strange(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    common = ("--data", photos, "-C", tmp_path / "ws", "--json")
    folder = tmp_path / "ws" / toolbox("augment", "--factor", 2, "--size", 24, *common).document["path"]
    assert toolbox("augment", "--verify", *common).document["clean"] is True
    first, second, *_ = sorted(folder.rglob("*.jpg"))
    first.write_bytes(first.read_bytes() + b"x")
    second.rename(second.with_name("stranger.jpg"))
    done = toolbox("augment", "--verify", folder.name, *common)
    assert done.code == 1 and done.document["clean"] is False
    found = [[Path(path).name for path in done.document[what]] for what in ("changed", "missing", "extra")]
    assert found == [[first.name], [second.name], ["stranger.jpg"]]


def test_a_replay_makes_every_file_again(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    common = ("-C", tmp_path / "ws", "--json")
    made = toolbox("augment", "--factor", 3, "--size", 24, "--data", photos, *common).document
    folder = tmp_path / "ws" / made["path"]
    # Sources are known by their pixels, whatever they are called now.
    shutil.copytree(photos, tmp_path / "renamed")
    for path in sorted((tmp_path / "renamed").rglob("*.png")):
        path.rename(path.with_name(f"new-{path.name}"))
    line = next(lineage.read(folder / lineage.FILE_NAME))
    (tmp_path / "renamed" / Path(line.source).parent / f"new-{Path(line.source).name}").unlink()
    done = toolbox("augment", "--replay", folder / lineage.FILE_NAME, "--data", tmp_path / "renamed", *common)
    assert done.code == 1 and done.document["different"] == [] and len(done.document["lost"]) == 3
    again, before = tree(Path(done.document["path"])), tree(folder)
    assert len(again) == made["written"] - 3 + 3
    assert all(before[name] == data for name, data in again.items() if name.endswith((".jpg", ".jsonl")))
    whole = toolbox(
        *("augment", "--replay", folder / lineage.FILE_NAME, "--data", photos),
        *("--out", tmp_path / "again", "--workers", 2, *common),
    )
    assert whole.code == 0 and tree(tmp_path / "again") == before


def test_balance_evens_the_classes_out(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    for path in sorted((photos / "left").iterdir())[8:]:
        path.unlink()
    options = ("--data", photos, "-C", tmp_path / "ws", "--json")
    done = toolbox("augment", "--factor", 3, "--balance", "--size", 24, "--set", "split.val=0", *options)
    folder = tmp_path / "ws" / done.document["path"]
    assert len(list((folder / "left").iterdir())) == len(list((folder / "right").iterdir())) == 33
    trained = toolbox("train", "alzheimer-cnn", "--epochs", 1, "--size", 32, "--set", "split.val=0", *options)
    assert trained.document["train_on"] == "augmented"


def test_a_preview_is_a_picture_and_nothing_else(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    ws = tmp_path / "ws"
    assert toolbox("augment", "--preview", 3, "--data", photos, "-C", ws).code == 0
    assert [path.name for path in ws.rglob("*")] == ["preview.png"]
    width, height = Image.open(ws / "preview.png").size
    assert width > 1000 and height > 500
    assert toolbox("augment", "--preview", 0, "--data", photos, "-C", ws).code == 2


def test_out_is_another_folder_and_never_mixes(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    options = ("--data", photos, "-C", tmp_path / "ws", "--size", 24, "--out", tmp_path / "set", "--json")
    assert toolbox("augment", "--factor", 2, *options).document["written"] > 0
    assert toolbox("augment", "--factor", 2, *options).document["written"] == 0
    before = tree(tmp_path / "set")
    other = toolbox("augment", "--factor", 3, *options)
    assert other.code == 2 and "another recipe" in other.stderr and tree(tmp_path / "set") == before


def test_draws_depend_on_the_key_alone() -> None:
    draw = [
        encode.generator(0, "p", 1).random(),
        encode.generator(0, "p", 2).random(),
        encode.generator(1, "p", 1).random(),
    ]
    assert len(set(draw)) == 3 and encode.generator(0, "p", 1).random() == draw[0]


def test_reduction_is_filtered_against_aliasing() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    assert prefilter(as_array(stripes), 16).std() < 30
    assert np.array_equal(prefilter(as_array(stripes), 64)[:, :, 0], np.asarray(stripes))


@given(
    counts=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    done=st.integers(0, 5000),
)
def test_shards_are_what_is_left_in_order(counts: list[int], done: int) -> None:
    rows = [manifests.Row(id=str(number), path="", label="") for number in range(len(counts))]
    wanted = {row.id: count for row, count in zip(rows, counts, strict=True)}
    every = [(row.id, number) for row in rows for number in range(wanted[row.id])]
    shards = list(writer._shards(rows, wanted, done))
    left = [(task.row.id, number) for shard in shards for task in shard for number in range(task.first, task.last)]
    assert left == every[done:]
    assert all(0 < sum(map(len, shard)) <= writer.SHARD for shard in shards)


@pytest.mark.parametrize("path", ["../out.jpg", "/etc/passwd", "a/../../b.jpg", "c:/x.jpg", "a\\b.jpg", ""])
def test_a_lineage_whose_paths_lead_out_is_refused(tmp_path: Path, path: str) -> None:
    file = tmp_path / lineage.FILE_NAME
    append_lines(file, [lineage.Line(path, "s", "p", 0, 0, {}, "x").text()])
    with pytest.raises(UsageError, match="leaves the set"):
        list(lineage.read(file))


# -------------------------------------------------------------------------------------------------------- online


@given(order=st.permutations(range(6)), epoch=st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_online_copies_are_made_by_batch_fresh_each_epoch_and_repeatable(order: list[int], epoch: int) -> None:
    import torch

    from toolbox.training.inputs import Pixels, augment_online

    images = np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), dtype=np.uint8)
    rows = [manifests.Row(id=str(number), path="", label="", pixels=f"hash {number}") for number in range(6)]
    pixels = Pixels(images, (0.5,) * 3, (0.2,) * 3, torch.device("cpu"))
    augmenter = Registry().augmenter("alzheimer")
    once, again = (augment_online(pixels, rows, augmenter, 3, 2) for _ in range(2))
    once.epoch = epoch
    together = once.batch(torch.arange(6))
    again.epoch = epoch + 1
    assert not torch.equal(again.batch(torch.arange(6)), together)
    again.epoch = epoch
    for part in (order[:4], order[4:]):
        assert torch.equal(again.batch(torch.tensor(part)), together[part])
