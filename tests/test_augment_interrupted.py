"""Augmented sets that are interrupted, killed, or out of disk space are finished to the same bytes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.background import Background, start_command
from tests.conftest import Toolbox, write_photos
from tests.test_augment import SMALL, tree
from toolbox.api.errors import EnvironmentFailure
from toolbox.augment import lineage, recipe, writer
from toolbox.files.atomic import append_lines
from toolbox.files.locks import hold_lock
from toolbox.files.resumable_folder import ResumableFolder
from toolbox.workspace import Workspace

MANY = {"augment.size": 64, "augment.factor": 30, "augment.workers": 1}


def files_so_far(ws: Path) -> int:
    """Copies that a run has begun to write, those that wait for their sync included."""
    names = (name for _, _, names in os.walk(ws / "augmented") for name in names)
    return sum(name.endswith(".jpg") for name in names)


def start(photos: Path, ws: Path, *options: object, **how: object) -> Background:
    """Begin what :data:`MANY` says in the background; return once the first file is there."""
    command = ("augment", "--factor", 30, "--size", 64, "--data", photos, "-C", ws, *options)
    process = start_command(*command, **how)
    deadline = time.monotonic() + 120
    while not files_so_far(ws) and process.running and time.monotonic() < deadline:
        time.sleep(0.002)
    return process


def finish(photos: Path, ws: Path) -> dict[str, bytes]:
    """Run it to its end; the set's files."""
    made = Workspace(ws, data=photos, settings=MANY).augment().path
    assert [path.name for path in (ws / "augmented").glob("[!.]*") if path.is_dir()] == [made.name]
    return tree(made)


def killed_at(after: int, workers: int, photos: Path, ws: Path) -> None:
    """Begin, and kill it and its workers when about ``after`` files are there."""
    process = start(photos, ws, "--workers", workers, leads_session=True)
    while files_so_far(ws) < after and process.running:
        time.sleep(0.002)
    process.kill_session()
    process.wait()


def ends_the_same(photos: Path, folder: Path, whole: dict[str, bytes], moments: list[tuple[int, int]]) -> None:
    for number, (after, workers) in enumerate(moments):
        killed_at(after, workers, photos, folder / f"killed-{number}")
        assert finish(photos, folder / f"killed-{number}") == whole


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Photos, and the set that an uninterrupted run makes of them."""
    folder = tmp_path_factory.mktemp("many")
    photos = write_photos(folder / "photos", per_class=30)
    return photos, tree(Workspace(folder / "whole", data=photos, settings=MANY).augment().path)


def test_killed_runs_go_on_and_end_the_same(many: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    photos, whole = many
    rng = np.random.default_rng()
    moments = [(1, 1), (int(rng.integers(2, len(whole))), 2)]
    print(moments)  # shown if the test fails
    ends_the_same(photos, tmp_path, whole, moments)


@pytest.mark.slow
def test_killed_at_many_moments(many: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    photos, whole = many
    rng = np.random.default_rng(0)
    moments = [(int(after), int(rng.integers(1, 4))) for after in rng.integers(0, len(whole), 10)]
    ends_the_same(photos, tmp_path, whole, moments)


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (1, 7), (2, 64), (3, 7)])
def test_neither_workers_nor_batch_size_change_a_byte(
    many: tuple[Path, dict[str, bytes]], tmp_path: Path, workers: int, batch_size: int
) -> None:
    photos, whole = many
    settings = {**MANY, "augment.workers": workers, "augment.batch_size": batch_size}
    assert tree(Workspace(tmp_path, data=photos, settings=settings).augment().path) == whole


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", per_class=60)
    process = start(photos, tmp_path / "ws", "--factor", 2000, "--workers", 2)
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
    process = start(photos, ws, "--workers", 2)
    for worker in children(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    assert process.wait() == 1
    assert "worker process was killed" in process.stderr and "fewer --workers" in process.stderr
    assert not list(ws.glob("augmented/.*.partial/.staging-*"))
    assert finish(photos, ws) == whole


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_says_how_to_go_on_and_leaves_nothing_half_written(
    many: tuple[Path, dict[str, bytes]], tmp_path: Path, workers: int
) -> None:
    photos, whole = many
    ws = tmp_path / "ws"
    process = start(photos, ws, "--workers", workers)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert "to continue an augmentation" in process.stderr and "Traceback" not in process.stderr
    (partial,) = (ws / "augmented").glob(".*.partial")
    kept = list(lineage.read(partial / lineage.FILE_NAME)) if (partial / lineage.FILE_NAME).exists() else []
    assert {str(path.relative_to(partial)) for path in partial.rglob("*.jpg")} == {line.path for line in kept}
    assert all((partial / line.path).read_bytes() == whole[line.path] for line in kept)
    assert finish(photos, ws) == whole


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
