"""The cache: rows by key, whole whatever happens; runs that share it end as runs without it; and 'toolbox cache'."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.background import Background
from tests.conftest import Toolbox
from toolbox.cache import folder as folders
from toolbox.cache import table
from toolbox.cache.table import NoRoom, Rows, Table
from toolbox.training import activation_cache
from toolbox.training.inputs import Pixels
from toolbox.workspace import Workspace

TINY = "timm:arch=test_resnet"
QUICK = {
    "training.size": 32,
    "head.epochs": 2,
    "last.epochs": 2,
    "training.batch_size": 8,
    "training.pretrained": False,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLBOX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def value_of(key: str) -> npt.NDArray[np.float32]:
    return np.full((2, 3), float(int(key, 36) % 1000), np.float32)


class Maker:
    """Computes rows from their keys, and counts them."""

    def __init__(self) -> None:
        self.computed = 0

    def __call__(self, keys: list[str], about: str = "a", limit: int = 10**6) -> Rows:
        def make(places: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[Any]]:
            for some in np.array_split(places, max(1, len(places) // 3)):
                self.computed += len(some)
                yield np.stack([value_of(keys[place]) for place in some])

        return Table({"of": about}).rows(keys, lambda: (2, 3), np.float32, make, limit)


def right(rows: Rows, keys: list[str]) -> bool:
    return np.array_equal(rows.take(np.arange(len(keys))), np.stack([value_of(key) for key in keys]))


@given(requests=st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=12), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_each_row_is_computed_once_in_any_order(
    requests: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLBOX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        maker = Maker()
        for keys in requests:
            assert right(maker(keys), keys)
        assert maker.computed == len({key for keys in requests for key in keys})


def files(about: str = "a") -> dict[str, Path]:
    return {path.name: path for path in Table({"of": about}).folder.iterdir()}


@pytest.mark.parametrize(
    ("damage", "again"),
    [
        (lambda files: os.truncate(files["values.bin"], 24 * 5 + 7), 5),  # cut off within a row
        (lambda files: os.truncate(files["keys.txt"], files["keys.txt"].stat().st_size - 3), 1),
        (lambda files: files["values.bin"].write_bytes(b"\xff" + files["values.bin"].read_bytes()[1:]), 1),
        (lambda files: files["keys.txt"].write_bytes(b"\xff\n\x00 what is this\n"), 10),
        (lambda files: files["table.json"].write_text("{"), 10),
        (lambda files: files["values.bin"].unlink(), 10),
    ],
)
def test_damaged_rows_alone_are_computed_again(damage: Any, again: int) -> None:
    maker, keys = Maker(), list("abcdefghij")
    maker(keys)
    damage(files())
    assert right(maker(keys), keys) and maker.computed == 10 + again
    assert right(maker(keys), keys) and maker.computed == 10 + again


def write_until_killed() -> None:
    table._BYTES_PER_SYNC = 48

    def make(places: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float32]]:
        for place in places:
            yield np.full((1, 2, 3), float(place + 10), np.float32)
            if place == 6:
                os.kill(os.getpid(), signal.SIGKILL)

    Table({"of": "a"}).rows(list("abcdefghij"), lambda: (2, 3), np.float32, make, 10**6)


def test_whole_rows_survive_a_kill() -> None:
    assert Background(write_until_killed).wait() == -signal.SIGKILL
    maker, keys = Maker(), list("abcdefghij")
    assert right(maker(keys), keys) and maker.computed == 4


def test_the_least_recently_used_table_makes_room() -> None:
    maker = Maker()
    for at, about in enumerate("abc"):
        maker(list("abcdefghij"), about, 4000)  # 240 bytes of values, and as much of keys and description
        os.utime(files(about)["table.json"], (at, at))
    maker(["a"], "a", 4000)  # used again
    size = sum(entry.bytes for entry in folders.list_entries())
    maker(list("klmno"), "c", size)
    assert [entry.about["of"] for entry in folders.list_entries()] == ["c", "a"]
    with pytest.raises(NoRoom) as refused:
        maker(list("klmno"), "d", 100)
    assert refused.value.needed == 5 * 24


def test_rows_of_other_images_go_where_these_would_not_fit() -> None:
    maker = Maker()
    maker([f"{number}" for number in range(100)], "a", 10**6)
    keys = [f"{number}" for number in range(100, 140)]
    assert right(maker(keys, "a", 3000), keys) and maker.computed == 140


def ended(ws: Workspace, **more: Any) -> tuple[dict[str, torch.Tensor], list[str], bytes, dict[str, Any]]:
    """What a fine-tuning ends with: weights, losses by epoch, predictions, record."""
    run = ws.finetune(TINY, unfreeze_last=True, **more)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    losses = [f"{line['train_loss']!r} {line['val_loss']!r}" for line in lines]
    return load_file(run.path / "model.safetensors"), losses, (run.path / "predictions.csv").read_bytes(), run.record


def test_a_warm_cache_changes_not_one_bit_and_no_cache_the_last_digits(photos: Path, tmp_path: Path) -> None:
    cold = ended(Workspace(tmp_path / "1", data=photos, settings=QUICK))
    assert {entry.about["of"] for entry in folders.list_entries() if entry.kind == "table"} == {
        activation_cache.TRUNK,
        activation_cache.FEATURES,
        "decoded pictures",
    }
    warm = ended(Workspace(tmp_path / "2", data=photos, settings=QUICK))
    plain = ended(Workspace(tmp_path / "3", data=photos, settings={**QUICK, "training.cache_gb": 0}))
    assert cold[1:3] == warm[1:3] and cold[3].model_sha256 == warm[3].model_sha256
    assert [stage.cached for stage in cold[3].stages] == [True, True]
    assert [stage.cached for stage in plain[3].stages] == [False, False]
    for name, value in cold[0].items():
        assert torch.allclose(value, plain[0][name], atol=1e-5), name
    for cached, uncached in zip(cold[1], plain[1], strict=True):
        assert np.allclose([*map(float, cached.split())], [*map(float, uncached.split())], atol=1e-5)


def test_seeds_folds_and_part_of_the_data_share_what_was_computed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    rows = activation_cache._compute_batch

    def counting(part: Any, one: Any, places: Any, stored: Any) -> Any:
        if isinstance(one, Pixels):
            computed.append(len(places))
        return rows(part, one, places, stored)

    # Random weights depend on the seed; those of a file don't.
    first = Workspace(tmp_path / "first", data=photos, settings=QUICK).finetune(TINY)
    same = {**QUICK, "training.weights": str(first.path / "model.safetensors")}
    Workspace(tmp_path / "0", data=photos, settings=same).finetune(TINY)
    monkeypatch.setattr(activation_cache, "_compute_batch", counting)
    decoded: list[str] = []
    monkeypatch.setattr(activation_cache, "decode_images", lambda rows, *rest: decoded.extend(row.id for row in rows))
    for more in ({"seed": 1}, {"split.seed": 4}, {"split.folds": 3, "split.fold": 2}):
        run = Workspace(tmp_path / str(more), data=photos, settings={**same, **more}).finetune(TINY)
        assert run.record.stages[0].cached
    assert computed == [] and decoded == []


def test_half_precision_takes_half_the_disk_and_trains_nearly_the_same(photos: Path, tmp_path: Path) -> None:
    full = ended(Workspace(tmp_path / "1", data=photos, settings=QUICK))
    half = ended(Workspace(tmp_path / "2", data=photos, settings={**QUICK, "training.cache_precision": "float16"}))
    sizes = {
        (entry.about["of"], entry.about.get("stored")): (entry.path / "values.bin").stat().st_size
        for entry in folders.list_entries()
        if entry.kind == "table"
    }
    for step in (activation_cache.TRUNK, activation_cache.FEATURES):
        assert sizes[step, "float32"] == 2 * sizes[step, "float16"]
    for whole, halved in zip(full[1], half[1], strict=True):
        assert np.allclose([*map(float, whole.split())], [*map(float, halved.split())], atol=0.01)


def test_a_cache_that_can_not_be_written_costs_time_and_nothing_else(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tables").write_text("in the way")
    outcome = ended(Workspace(tmp_path / "1", data=photos, settings=QUICK))
    assert [stage.cached for stage in outcome[3].stages] == [False, False]


def test_other_files_in_the_folder_are_not_touched(toolbox: Toolbox, own_cache: Path) -> None:
    Maker()(["a"])
    theirs = [own_cache / name for name in ("thesis.txt", "tables/mine/x", "scratch/mine/x", "scratch/tmpabc/x")]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 1000)
        os.utime(path.parent if path.parent != own_cache else path, (0, 0))
        os.utime(path, (0, 0))
    killed = own_cache / "scratch" / "training-abc"
    killed.mkdir()
    os.utime(killed, (0, 0))
    with folders.scratch_folder():
        assert not killed.exists()
    Maker()(["a", "b"], "b", limit=400)  # no room for both tables
    assert toolbox("cache", "clear").code == 0 and not folders.list_entries()
    assert all(path.is_file() for path in theirs)


def test_a_damaged_shape_is_noticed(own_cache: Path) -> None:
    Maker()(["a"])
    (about,) = own_cache.glob("tables/*/table.json")
    about.write_text(about.read_text().replace("3\n", "4\n"))
    assert right(Maker()(["a", "b"]), ["a", "b"])


def test_without_room_for_the_features_the_head_starts_at_the_trunk(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Table.missing

    def too_large(table: Table, *arguments: Any) -> int:
        return 10**12 if table.about["of"] == activation_cache.FEATURES else missing(table, *arguments)

    monkeypatch.setattr(Table, "missing", too_large)
    run = Workspace(tmp_path, data=photos, settings={**QUICK, "head.epochs": 1}).finetune(TINY, unfreeze_last=True)
    assert run.finished and [stage.cached for stage in run.record.stages] == [True, True]


def test_a_folder_that_cannot_be_created_stops_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TOOLBOX_CACHE_DIR", str(tmp_path / "file"))
    with folders.scratch_folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()


def test_the_cache_is_shown_and_cleared(photos: Path, tmp_path: Path, toolbox: Toolbox, own_cache: Path) -> None:
    assert "empty" in toolbox("cache").stdout
    settings = [word for name, value in QUICK.items() for word in ("--set", f"{name}={str(value).lower()}")]
    done = toolbox("finetune", TINY, "--data", photos, "-C", tmp_path / "ws", *settings)
    assert done.code == 0 and "to compute once and keep" in done.stderr
    shown = toolbox("cache")
    assert shown.code == 0 and 'features before the head, timm:arch="test_resnet", float32, 32 px' in shown.stdout
    (old,) = (entry for entry in folders.list_entries() if entry.about.get("of") == activation_cache.FEATURES)
    os.utime(old.path / "table.json", (time.time() - 9 * folders.DAY,) * 2)
    assert toolbox("cache", "clear", "--older-than", 8, "--dry-run").code == 0 and old.path.exists()
    cleared = toolbox("cache", "clear", "--older-than", 8, "--json").document
    assert cleared["freed"] == old.bytes and not old.path.exists()
    assert toolbox("cache", "clear").code == 0 and not folders.list_entries()
    assert toolbox("cache", "--json").document["bytes"] == 0
