"""The dicom dataset: values become the right grey, patients stay unnamed, broken files are told."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.conftest import Toolbox
from toolbox.plugin.registry import Registry

PATIENT, NAME = "MRN-4711-SECRET", "Doe^Jane^Secret"


def write(path: Path, values: np.ndarray, patient: str = PATIENT, **tags: Any) -> Path:
    """A CT slice as scanners write it; ``values``: uint8 or uint16, ``[H, W]``, ``[H, W, 3]`` or ``[F, H, W]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    found = pydicom.Dataset()
    found.file_meta = meta
    found.SOPClassUID, found.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    found.PatientID, found.PatientName = patient, NAME
    found.SeriesInstanceUID = tags.pop("SeriesInstanceUID", "1.2.3")
    colour = values.ndim == 3 and values.shape[2] == 3
    frames = values.shape[0] if values.ndim == 3 and not colour else 1
    found.Rows, found.Columns = values.shape[-2:] if not colour else values.shape[:2]
    found.SamplesPerPixel = 3 if colour else 1
    found.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        found.PlanarConfiguration = 0
    if frames > 1:
        found.NumberOfFrames = frames
    bits = values.dtype.itemsize * 8
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = bits, bits, bits - 1, 0
    found.PixelData = values.tobytes()
    for tag, value in tags.items():
        setattr(found, tag, value)
    found.save_as(path, enforce_file_format=True)
    return path


def ramp(high: int = 4095, side: int = 64) -> np.ndarray:
    return np.linspace(0, high, side * side).reshape(side, side).astype(np.uint16)


def load(registry: Registry, folder: Path, **parameters: Any) -> list[tuple[Any, Any]]:
    dataset = registry.dataset({"name": "dicom", "path": str(folder), **parameters})
    return [(sample, dataset.load(sample)) for sample in dataset.samples()]


def test_twelve_bits_keep_their_levels_and_monochrome1_is_turned_over(registry: Registry, tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.dcm", ramp())
    write(tmp_path / "a" / "2.dcm", ramp(), PhotometricInterpretation="MONOCHROME1", InstanceNumber=2)
    (_, plain), (_, inverted) = load(registry, tmp_path)
    straight, turned = np.asarray(plain), np.asarray(inverted)
    assert len(np.unique(straight)) >= 200 and straight[0, 0] == 0 and straight[-1, -1] == 255
    assert np.array_equal(turned, 255 - straight)


def test_rescale_and_window_are_the_files_own(registry: Registry, tmp_path: Path) -> None:
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 0, "WindowWidth": 1024}
    write(tmp_path / "a" / "1.dcm", ramp(), **tags)
    ((_, picture),) = load(registry, tmp_path)
    pixels, hounsfield = np.asarray(picture).astype(float), ramp().astype(float) - 1024
    inside = np.abs(hounsfield) < 500
    expected = (hounsfield + 512) / 1024 * 255
    assert np.abs(pixels - expected)[inside].max() < 2
    assert (pixels[hounsfield < -520] == 0).all() and (pixels[hounsfield > 520] == 255).all()


def test_colour_and_frames(registry: Registry, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    write(tmp_path / "a" / "colour.dcm", colour, SeriesInstanceUID="1")
    frames = np.stack([ramp(side=16), ramp(side=16)[::-1]])
    write(tmp_path / "b" / "frames.dcm", frames, SeriesInstanceUID="2")
    (first, picture), (_, up), (last, down) = load(registry, tmp_path)
    assert np.array_equal(np.asarray(picture), colour) and first.label == "a"
    assert np.array_equal(np.asarray(up)[::-1], np.asarray(down)) and last.path == "b/frames.dcm#frame=1"


def test_slices_are_sorted_along_their_normal_and_chosen(registry: Registry, tmp_path: Path) -> None:
    for number, z in enumerate([30.0, 10.0, 50.0, 20.0, 40.0]):
        write(
            tmp_path / "a" / f"{number}.dcm",
            ramp(),
            ImagePositionPatient=[0, 0, z],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )
    names = [sample.path for sample, _ in load(registry, tmp_path)]
    assert names == [f"a/{number}.dcm#frame=0" for number in (1, 3, 0, 4, 2)]
    assert [sample.path for sample, _ in load(registry, tmp_path, low=0.25, high=0.75, count=2)] == [names[1], names[3]]


def test_patients_are_groups_and_nothing_that_is_written_names_them(
    toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLBOX_CONFIG_DIR", str(tmp_path / "config"))
    rng = np.random.default_rng(1)
    for number in range(24):
        values = rng.integers(0, 4096, (32, 32)).astype(np.uint16)
        patient = f"{PATIENT}-{number // 2}"
        write(tmp_path / "scans" / ("AD", "MCI")[number // 2 % 2] / f"scan{number}", values, patient)
    (tmp_path / "scans" / "AD" / "bad.dcm").write_bytes((tmp_path / "scans" / "AD" / "scan0").read_bytes()[:900])
    ws = tmp_path / "ws"
    spec = f"dicom:path={tmp_path / 'scans'}"
    done = toolbox("data", "split", "--data", spec, "--test", 0.3, "-C", ws, "--json")
    assert done.code == 3 and done.document["samples"] == 24 and done.document["groups"] == 12
    trained = toolbox("train", "alzheimer-cnn", "--epochs", 1, "--size", 32, "--data", spec, "-C", ws)
    assert trained.code == 3
    assert toolbox("report", "-C", ws).code == 0
    written = [path for path in ws.rglob("*") if path.is_file()]
    assert len(written) > 8
    for path in written:
        data = path.read_bytes()
        assert b"MRN-4711" not in data and b"Jane" not in data, path
    assert "MRN-4711" not in done.stdout + done.stderr + trained.stdout + trained.stderr
    key = tmp_path / "config" / "pseudonyms.key"
    assert len(key.read_bytes()) == 32 and key.stat().st_mode & 0o077 == 0
    with (ws / "manifest.csv").open(newline="") as file:
        groups = {line["group"] for line in csv.DictReader(file)}
    # Another machine, another key: other names for the same patients.
    monkeypatch.setenv("TOOLBOX_CONFIG_DIR", str(tmp_path / "elsewhere"))
    toolbox("data", "split", "--data", spec, "--test", 0.3, "-C", tmp_path / "ws2")
    with (tmp_path / "ws2" / "manifest.csv").open(newline="") as file:
        assert not groups & {line["group"] for line in csv.DictReader(file)}


def test_classes_from_a_table(registry: Registry, tmp_path: Path) -> None:
    write(tmp_path / "scans" / "1.dcm", ramp(), "p1")
    table = tmp_path / "who.csv"
    table.write_text("PatientID,label\np1,AD\n")
    ((sample, _),) = load(registry, tmp_path / "scans", labels=str(table))
    assert sample.label == "AD" and "p1" not in sample.group


def test_hostile_files_are_refused_before_they_are_decoded(toolbox: Toolbox, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    rng = np.random.default_rng(2)
    for label in ("a", "b"):
        write(folder / label / "good.dcm", rng.integers(0, 4096, (32, 32)).astype(np.uint16), label)
    write(folder / "a" / "bomb.dcm", ramp(), Rows=60_000, Columns=60_000)
    write(folder / "a" / "frames.dcm", ramp(), NumberOfFrames=10**8)
    whole = write(folder / "a" / "cut.dcm", ramp()).read_bytes()
    (folder / "a" / "cut.dcm").write_bytes(whole[:-3000])
    (folder / "a" / "empty.dcm").write_bytes(b"")
    (folder / "a" / "text.dcm").write_text("no scan")
    odd = pydicom.dcmread(write(folder / "a" / "syntax.dcm", ramp()))
    odd.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"
    odd.PixelData = pydicom.encaps.encapsulate([odd.PixelData])
    odd["PixelData"].is_undefined_length = True
    odd.save_as(folder / "a" / "syntax.dcm")
    done = toolbox("data", "inspect", "--data", f"dicom:path={folder}", "-C", tmp_path / "ws", "--json")
    assert done.code == 3 and done.document["images"] == 2
    told = {item["path"].partition("#")[0]: item["reason"] for item in done.document["quarantined"]}
    assert set(told) == {f"a/{name}.dcm" for name in ("bomb", "cut", "empty", "frames", "syntax", "text")}
    assert "60000 × 60000" in told["a/bomb.dcm"] and "JPEG-LS" in told["a/syntax.dcm"]
