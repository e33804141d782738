"""Augmented sets: training images alone, the same however they were made, safe to interrupt."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.api.images import as_array
from toolbox.api.warp import prefilter
from toolbox.augment import encode, lineage, recipe, writer
from toolbox.data import manifest as manifests
from toolbox.data.source import ImageChanged
from toolbox.files import fingerprint
from toolbox.files.atomic import append_lines
from toolbox.files.locks import hold_lock
from toolbox.files.resumable_folder import ResumableFolder
from toolbox.plugin.engines import FEW, build_engine
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


def files_so_far(ws: Path) -> int:
    """Copies that a run has begun to write, those that wait for their sync included."""
    names = (name for _, _, names in os.walk(ws / "augmented") for name in names)
    return sum(name.endswith(".jpg") for name in names)


COMMAND = [sys.executable, "-m", "toolbox", "augment", "--factor", "30", "--size", "64"]


def killed_at(after: int, workers: int, photos: Path, ws: Path) -> None:
    """Begin an augmentation, and kill it and its workers when about ``after`` files are there."""
    command = [*COMMAND, "--data", str(photos), "-C", str(ws), "--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if files_so_far(ws) >= after:
            break
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ends_the_same(photos: Path, folder: Path, whole: dict[str, bytes], moments: list[tuple[int, int]]) -> None:
    for number, (after, workers) in enumerate(moments):
        ws = folder / f"killed-{number}"
        killed_at(after, workers, photos, ws)
        done = subprocess.run(
            [*COMMAND, "--data", str(photos), "-C", str(ws)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        (made,) = (path for path in (ws / "augmented").glob("[!.]*") if path.is_dir())
        assert tree(made) == whole


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Photos, and the set that an uninterrupted run makes of them."""
    folder = tmp_path_factory.mktemp("many")
    photos = write_photos(folder / "photos", per_class=60)
    settings = {"augment.size": 64, "augment.factor": 30, "augment.workers": 1}
    return photos, tree(Workspace(folder / "whole", data=photos, settings=settings).augment().path)


def test_killed_runs_go_on_and_end_the_same(many: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    photos, whole = many
    rng = np.random.default_rng()
    moments = [(1, 1), *((int(after), 2) for after in rng.integers(2, len(whole), 2))]
    print(moments)  # shown if the test fails
    ends_the_same(photos, tmp_path, whole, moments)


@pytest.mark.slow
def test_killed_at_twenty_moments(many: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    photos, whole = many
    rng = np.random.default_rng(0)
    moments = [(int(after), int(rng.integers(1, 4))) for after in rng.integers(0, len(whole), 20)]
    ends_the_same(photos, tmp_path, whole, moments)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_neither_workers_nor_batch_size_change_a_byte(
    many: tuple[Path, dict[str, bytes]], tmp_path: Path, workers: int, batch_size: int
) -> None:
    photos, whole = many
    settings = {"augment.size": 64, "augment.factor": 30, "augment.workers": workers, "augment.batch_size": batch_size}
    assert tree(Workspace(tmp_path, data=photos, settings=settings).augment().path) == whole


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", per_class=60)
    command = [*COMMAND, "--factor", "2000", "--workers", "2", "--data", str(photos), "-C", str(tmp_path / "ws")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not files_so_far(tmp_path / "ws") and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(2)
    before = files_so_far(tmp_path / "ws")
    time.sleep(1)
    assert len(workers) >= 2 and not any(alive(worker) for worker in workers)
    assert files_so_far(tmp_path / "ws") == before > 0


def test_a_worker_that_was_killed_is_told_and_the_set_is_finished(
    many: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    photos, whole = many
    ws = tmp_path / "ws"
    command = [*COMMAND, "--workers", "2", "--data", str(photos), "-C", str(ws)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not files_so_far(ws) and process.poll() is None:
        time.sleep(0.002)
    for worker in children(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1 and "worker process was killed" in told and "fewer --workers" in told
    assert not list(ws.glob("augmented/.*.partial/.staging-*"))
    subprocess.run([*COMMAND, "--data", str(photos), "-C", str(ws)], check=True, capture_output=True)
    (made,) = (path for path in (ws / "augmented").glob("[!.]*") if path.is_dir())
    assert tree(made) == whole


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_says_how_to_go_on_and_leaves_nothing_half_written(
    many: tuple[Path, dict[str, bytes]], tmp_path: Path, workers: int
) -> None:
    photos, whole = many
    ws = tmp_path / "ws"
    command = [*COMMAND, "--workers", str(workers), "--data", str(photos), "-C", str(ws)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not files_so_far(ws) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130 and "to continue an augmentation" in told and "Traceback" not in told
    (partial,) = (ws / "augmented").glob(".*.partial")
    kept = list(lineage.read(partial / lineage.FILE_NAME)) if (partial / lineage.FILE_NAME).exists() else []
    assert {str(path.relative_to(partial)) for path in partial.rglob("*.jpg")} == {line.path for line in kept}
    assert all((partial / line.path).read_bytes() == whole[line.path] for line in kept)
    subprocess.run([*COMMAND, "--data", str(photos), "-C", str(ws)], check=True, capture_output=True)
    (made,) = (path for path in (ws / "augmented").glob("[!.]*") if path.is_dir())
    assert tree(made) == whole


def children(parent: int) -> list[int]:
    """The processes that ``parent`` has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(text) for text in listed.stdout.split()]


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended (which nobody may have looked at yet)."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip()) and not listed.stdout.strip().startswith("Z")


def test_of_two_processes_on_one_set_one_says_so_and_stops(photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws", data=photos, settings=SMALL)
    name = recipe.build_recipe(ws.settings, ws.split.manifest).name
    held = hold_lock(tmp_path / "ws" / "augmented", "augmenting", f".{name}.lock")
    with held, pytest.raises(EnvironmentFailure, match="another process is augmenting"):
        ws.augment()
    assert ws.augment().written > 0


@given(cut=st.integers(0, 1500), kept=st.integers(0, 12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_lineage_that_was_cut_off_anywhere_is_finished_to_the_same_bytes(tmp_path: Path, cut: int, kept: int) -> None:
    lines = [lineage.Line(f"{s}{n}.jpg", s, "p", n, 0, {"flip": True}, "x") for s in "äbc" for n in range(4)]
    keys = [(line.source, line.copy) for line in lines]
    file = tmp_path / lineage.FILE_NAME
    file.unlink(missing_ok=True)
    append_lines(file, [line.text() for line in lines])
    whole = file.read_bytes()
    # Cut off at any byte, or with lines of something else behind.
    file.write_bytes(whole[:cut])
    count = lineage.repair(file, keys)
    assert count == whole[:cut].count(b"\n")
    append_lines(file, [line.text() for line in lines[count:]])
    assert file.read_bytes() == whole and lineage.repair(file, keys) == 12
    other = [*keys[:kept], ("elsewhere", 0), *keys[kept:]]
    assert lineage.repair(file, other) == kept and list(lineage.read(file)) == lines[:kept]


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can't be mounted here (it needs root)")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_and_the_set_is_finished_on_a_larger_one(
    photos: Path, small_disk: Path, tmp_path: Path, workers: int
) -> None:
    # What is asked for fits by the estimate; somebody else fills the disk.
    settings = {"augment.size": 64, "augment.factor": 6, "augment.format": "png", "augment.workers": workers}
    ws = Workspace(small_disk, data=photos, settings=settings)
    ws.save_split()
    (small_disk / "ballast").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 100_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_check_disk", lambda *given: None)
        with pytest.raises(EnvironmentFailure) as caught:
            ws.augment()
    assert "No space left" in caught.value.message and "free some space" in caught.value.hint
    for path in small_disk.rglob("*.png"):
        Image.open(path).load()
    (small_disk / "ballast").unlink()
    remount(small_disk, "size=64m")
    made = Workspace(small_disk, data=photos, settings=settings).augment().path
    assert tree(made) == tree(Workspace(tmp_path / "ws", data=photos, settings=settings).augment().path)


def test_a_read_only_disk_is_told(toolbox: Toolbox, photos: Path, small_disk: Path, tmp_path: Path) -> None:
    options = ("--data", photos, "-C", tmp_path / "ws", "--size", 24, "--factor", 2, "--out", small_disk / "set")
    remount(small_disk, "ro")
    done = toolbox("augment", *options)
    assert done.code == 1 and "read-only" in done.stderr.lower() and not list(small_disk.iterdir())
    remount(small_disk, "rw")
    assert toolbox("augment", *options).code == 0


def test_what_another_recipe_left_is_never_mixed_in(photos: Path, tmp_path: Path) -> None:
    for out, factors in (("alone", (3,)), ("after", (2, 3))):
        for factor in factors:
            ws = Workspace(tmp_path / "ws", data=photos, settings={**SMALL, "augment.factor": factor})
            with pytest.MonkeyPatch.context() as patch:
                if factor != factors[-1]:
                    patch.setattr(ResumableFolder, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
                    with pytest.raises(KeyboardInterrupt):
                        ws.augment(tmp_path / out)
                else:
                    ws.augment(tmp_path / out)
    assert tree(tmp_path / "after") == tree(tmp_path / "alone")


def test_files_of_other_versions_are_made_anew(photos: Path, tmp_path: Path) -> None:
    whole = tree(Workspace(tmp_path / "a", data=photos, settings=SMALL).augment().path)
    ws = Workspace(tmp_path / "b", data=photos, settings=SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer.environment, "versions_of", lambda names: {"simplejpeg": "0.1"})
        patch.setattr(ResumableFolder, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ws.augment()
    (partial,) = (tmp_path / "b" / "augmented").glob(".*.partial")
    sorted(partial.rglob("*.jpg"))[0].write_bytes(b"of another encoder")
    result = ws.augment()
    assert result.skipped == 0 and tree(result.path) == whole


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    toolbox: Toolbox, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 4096, 4096))
    done = toolbox("augment", "--data", photos, "-C", tmp_path / "ws", "--factor", 50)
    assert done.code == 1 and "need about" in done.stderr and not list(tmp_path.rglob("*.jpg"))


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


# ------------------------------------------------------------------------------------------------------- engines


def square(number: int) -> int:
    if number < 0:
        raise EnvironmentFailure("below zero", "give more")
    return number * number


@pytest.mark.parametrize("spec", ["inline", "processes:workers=2"])
def test_an_engine_keeps_the_order_works_lazily_and_hands_on_failures(spec: str, registry: Registry) -> None:
    engine = registry.engine(spec)
    asked: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(500):
            asked.append(number)
            yield number

    results = engine.map(square, numbers())
    assert [next(results) for _ in range(10)] == [n * n for n in range(10)]
    assert len(asked) < 50, "few wait, so that memory stays bounded"
    assert list(results) == [n * n for n in range(10, 500)]
    assert list(engine.map(square, [])) == []
    # Large items do not wait in a pipe, so that all may be idle at once; large results fill one.
    large = [bytes([number]) * 100_000 for number in range(40)]
    assert list(engine.map(bytes.title, large)) == [each.title() for each in large]
    with pytest.raises(EnvironmentFailure) as caught:
        list(engine.map(square, [1, -1, 2]))
    assert (caught.value.message, caught.value.hint) == ("below zero", "give more")


def process_id(_: object) -> int:
    return os.getpid()


def test_auto_takes_processes_for_much_work_that_can_be_pickled(registry: Registry) -> None:
    def ids(workers: int, items: int, work: Callable[[object], int] = process_id) -> set[int]:
        return set(build_engine(registry, "auto", workers).map(work, range(items)))

    here = {os.getpid()}
    assert ids(2, 3).isdisjoint(here), "the user asked for two"
    assert ids(1, 100) == ids(0, FEW - 1) == ids(2, 100, lambda _: os.getpid()) == here
    if (os.cpu_count() or 1) > 1:
        assert ids(0, FEW).isdisjoint(here)


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
