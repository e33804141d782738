"""On real photos, where ``TOOLBOX_TEST_DATA`` says where they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.conftest import Toolbox


def digest(folder: Path) -> str:
    """SHA-256 over the names, sizes and times of everything below ``folder``."""
    entries = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))]
    return hashlib.sha256(repr(entries).encode()).hexdigest()


def test_every_photo_is_read_and_study_bs_split_comes_out(toolbox: Toolbox, real_data: Path, tmp_path: Path) -> None:
    before = digest(real_data / "cats_dogs")
    done = toolbox("data", "split", "--val", 0.3, "--data", real_data / "cats_dogs", "-C", tmp_path, "--json")
    counts = {split: sum(row.values()) for split, row in done.document["counts"].items()}
    assert done.code == 0 and counts == {"train": 492, "val": 210, "test": 100}
    assert digest(real_data / "cats_dogs") == before


def test_grey_and_colour_slices_are_told_apart_and_repeats_counted(
    toolbox: Toolbox, real_data: Path, tmp_path: Path
) -> None:
    done = toolbox("data", "inspect", "--data", real_data / "brain_tumour", "-C", tmp_path, "--json")
    assert done.code == 0 and done.document["images"] == 840
    assert set(done.document["modes"]) == {"L", "RGB"} and done.document["identical"] >= 27


@pytest.mark.slow
def test_a_pretrained_network_reaches_97_of_100(toolbox: Toolbox, real_data: Path, tmp_path: Path) -> None:
    done = toolbox(
        "finetune", "efficientnet-lite0", "--unfreeze-last", "--data", real_data / "cats_dogs", "-C", tmp_path, "--json"
    )
    assert done.document["n"] == 100 and done.document["metrics"]["accuracy"]["value"] >= 0.97
