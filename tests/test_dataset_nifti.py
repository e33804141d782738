"""The nifti dataset: planes mean the same whatever the orientation, subjects are groups, broken volumes are told."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Toolbox
from toolbox.api.errors import UsageError
from toolbox.api.volumes import select_slices
from toolbox.plugin.registry import Registry


def volume(seed: int = 0, shape: tuple[int, int, int] = (20, 24, 16)) -> np.ndarray:
    """Brighter to the right, to the front and upwards (axes x, y, z), with blobs of its own, a margin of zeros."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(0, 1, side) for side in shape), indexing="ij")
    values = 100 + 400 * x + 200 * y + 100 * z + rng.normal(0, 2, shape)
    for cx, cy, cz in rng.random((12, 3)):
        values += 300 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / 0.02)
    values[0] = 0
    return values.astype(np.float32)


def save(values: np.ndarray, path: Path, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for number in range(12):
        label = ("AD", "MCI")[number % 2]
        save(volume(number), tmp_path / "volumes" / label / f"sub-{number:02d}" / f"sub-{number:02d}_T1w.nii.gz")
    return tmp_path / "volumes"


def test_the_same_slice_whatever_way_the_scanner_wrote_it(registry: Registry, tmp_path: Path) -> None:
    values = volume()
    save(values, tmp_path / "a" / "straight.nii")
    turned = np.transpose(values[::-1, :, :], (2, 0, 1))  # axes z, −x, y
    affine = np.array([[0, -1, 0, 19], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    save(turned, tmp_path / "a" / "turned.nii", affine)
    dataset = registry.dataset({"name": "nifti", "path": str(tmp_path), "count": 3})
    by_name: dict[str, list[np.ndarray]] = {}
    for sample in dataset.samples():
        by_name.setdefault(sample.path.partition("#")[0], []).append(np.asarray(dataset.load(sample)))
    straight, other = by_name["a/straight.nii"], by_name["a/turned.nii"]
    assert len(straight) == 3 and all(np.array_equal(a, b) for a, b in zip(straight, other, strict=True))
    assert straight[0].shape == (24, 20)  # anterior up, right to the right
    assert straight[0][:, -1].mean() > straight[0][:, 1].mean() and straight[0][0].mean() > straight[0][-1].mean()


@pytest.mark.parametrize(("plane", "shape"), [("axial", (24, 20)), ("coronal", (16, 20)), ("sagittal", (16, 24))])
def test_planes(registry: Registry, study: Path, plane: str, shape: tuple[int, int]) -> None:
    dataset = registry.dataset({"name": "nifti", "path": str(study), "plane": plane, "count": 2})
    found = list(dataset.samples())
    assert len(found) == 24 and found[0].group == "sub-00" and found[0].label == "AD"
    picture = dataset.load(found[0])
    assert np.asarray(picture).shape == shape and "percentiles 1 and 99" in picture.info["note"]


def test_the_whole_way_with_subjects_as_groups_and_one_hash_a_file(
    toolbox: Toolbox, study: Path, tmp_path: Path
) -> None:
    spec = f"nifti:path={study},count=3"
    assert toolbox("data", "split", "--data", spec, "--test", 0.3, "-C", tmp_path / "ws").code == 0
    with (tmp_path / "ws" / "manifest.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 36 and len({line["sha256"] for line in lines}) == 12
    assert len({line["pixels"] for line in lines}) == 36 and lines[0]["window"] == "percentiles 1 to 99"
    trained = toolbox(
        "train", "alzheimer-cnn", "--epochs", 1, "--size", 32, "--data", spec, "-C", tmp_path / "ws", "--json"
    )
    assert trained.code == 0 and trained.document["leaky"] is False


def test_broken_volumes_are_quarantined_and_the_rest_is_used(toolbox: Toolbox, study: Path, tmp_path: Path) -> None:
    whole = (study / "AD" / "sub-00" / "sub-00_T1w.nii.gz").read_bytes()
    bad = study / "AD" / "bad"
    bad.mkdir()
    (bad / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (bad / "empty.nii.gz").write_bytes(b"")
    (bad / "text.nii").write_text("no volume")
    header = bytearray(gzip.decompress(whole)[:352])
    header[42:48] = np.array([30_000, 30_000, 30_000], "<i2").tobytes()
    (bad / "bomb.nii.gz").write_bytes(gzip.compress(bytes(header)))
    save(np.zeros((8, 8, 8), np.float32), bad / "black.nii")
    save(np.full((8, 8, 8), np.nan, np.float32), bad / "nan.nii")
    done = toolbox("data", "inspect", "--data", f"nifti:path={study},count=2", "-C", tmp_path / "ws", "--json")
    assert done.code == 3 and done.document["images"] == 24
    told = {item["path"].partition("#")[0]: item["reason"] for item in done.document["quarantined"]}
    names = ("black.nii", "bomb.nii.gz", "cut.nii.gz", "empty.nii.gz", "nan.nii", "text.nii")
    assert set(told) == {f"AD/bad/{name}" for name in names}
    assert "claims 30000 × 30000 × 30000" in told["AD/bad/bomb.nii.gz"]


def test_classes_from_a_table_and_volumes_in_time(registry: Registry, tmp_path: Path) -> None:
    save(np.stack([volume(0), volume(1)], -1), tmp_path / "bids" / "sub-a1" / "sub-a1_bold.nii.gz")
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tdiagnosis\nsub-a1\tMCI\n")
    spec = {"name": "nifti", "path": str(tmp_path / "bids"), "labels": str(table), "label_column": "diagnosis"}
    first, second = (registry.dataset({**spec, "volume": number, "count": 1}) for number in (0, 1))
    (sample,) = first.samples()
    assert (sample.label, sample.group) == ("MCI", "sub-a1")
    assert not np.array_equal(np.asarray(first.load(sample)), np.asarray(second.load(sample)))
    with pytest.raises(ValueError, match="has 2 volumes"):
        registry.dataset({**spec, "volume": 2}).load(sample)
    table.write_text("participant_id\tdiagnosis\nsub-other\tMCI\n")
    with pytest.raises(UsageError, match="no line for sub-a1"):
        list(registry.dataset(spec).samples())


def test_a_path_out_of_the_folder_is_not_read(registry: Registry, study: Path, tmp_path: Path) -> None:
    save(volume(), tmp_path / "secret.nii")
    dataset = registry.dataset({"name": "nifti", "path": str(study)})
    sample = next(dataset.samples())
    stranger = type(sample)("x", "../secret.nii#axial=3", "AD")
    with pytest.raises(ValueError, match="leads out"):
        dataset.load(stranger)


@given(available=st.integers(1, 500), a=st.floats(0, 1), b=st.floats(0, 1), count=st.integers(1, 100))
def test_chosen_slices_are_in_range_sorted_and_as_many_as_fit(available: int, a: float, b: float, count: int) -> None:
    low, high = min(a, b), max(a, b)
    chosen = select_slices(available, low, high, count)
    assert chosen == sorted(set(chosen)) and 1 <= len(chosen) <= min(count, available)
    assert all(0 <= number < available for number in chosen)
    assert select_slices(available, 0, 1, available) == list(range(available))
