"""The huggingface dataset: what the datasets library saved is read, what it can't fetch is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.plugin.registry import Registry


def part(per_class: int, seed: int, broken: bool = False) -> datasets.Dataset:
    rng = np.random.default_rng(seed)
    images = [Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)) for _ in range(2 * per_class)]
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "owner": datasets.Value("string"),
        }
    )
    rows = {
        "image": images,
        "label": [number % 2 for number in range(len(images))],
        "owner": [f"o{number // 2}" for number in range(len(images))],
    }
    if broken:
        rows["image"][0] = {"bytes": b"\xff\xd8\xff no picture", "path": None}
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    both = datasets.DatasetDict({"train": part(12, 0, broken=True), "test": part(4, 1)})
    both.save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_splits_labels_and_groups_are_kept(registry: Registry, saved: Path) -> None:
    found = list(registry.dataset({"name": "huggingface", "repo": str(saved), "group": "owner"}).samples())
    assert len(found) == 32 and {sample.split for sample in found} == {"train", "test"}
    train = [sample for sample in found if sample.split == "train"]
    assert (train[0].label, train[1].label, train[1].group) == ("cat", "dog", "o0")


def test_the_whole_way_with_a_broken_picture_in_quarantine(toolbox: Toolbox, saved: Path, tmp_path: Path) -> None:
    spec = f"huggingface:repo={saved}"
    done = toolbox(
        "train", "alzheimer-cnn", "--epochs", 1, "--size", 32, "--data", spec, "-C", tmp_path / "ws", "--json"
    )
    assert done.code == 3 and done.document["n"] == 8
    assert "train#0" in (tmp_path / "ws" / "quarantine.csv").read_text()


def test_a_folder_of_image_files(registry: Registry, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", per_class=3)
    dataset = registry.dataset({"name": "huggingface", "repo": str(tmp_path / "photos")})
    found = list(dataset.samples())
    assert [sample.label for sample in found] == ["left"] * 3 + ["right"] * 3
    assert dataset.load(found[0]).size == (40, 32)


def test_a_missing_column_is_named(registry: Registry, saved: Path) -> None:
    with pytest.raises(UsageError, match="no column 'lable'") as caught:
        registry.dataset({"name": "huggingface", "repo": str(saved), "label": "lable"})
    assert "label" in caught.value.hint


def test_without_network_it_says_what_to_do(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(EnvironmentFailure) as caught:
        registry.dataset({"name": "huggingface", "repo": "nobody/nothing-of-this-name"})
    assert "can't be reached" in caught.value.message and "save_to_disk" in caught.value.hint


@pytest.mark.parametrize("extra", ["nibabel", "pydicom", "datasets"])
def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, extra: str) -> None:
    kind = {"nibabel": "nifti", "pydicom": "dicom", "datasets": "huggingface"}[extra]
    code = (
        f"import sys; sys.modules[{extra!r}] = None\n"
        "from toolbox.cli.app import run\n"
        f"sys.exit(run(['data', 'inspect', '--data', '{kind}:{'repo' if kind == 'huggingface' else 'path'}=x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1 and f"pip install 'vision-toolbox[{kind}]'" in done.stderr
    assert "Traceback" not in done.stderr
