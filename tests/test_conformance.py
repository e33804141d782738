"""Every component of the first party passes the kit that a third party's has to pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import test_dataset_dicom as dicom
from tests import test_dataset_huggingface as huggingface
from tests import test_dataset_nifti as nifti
from tests.conftest import write_photos
from toolbox.api.components import KINDS, Kind
from toolbox.plugin.registry import Registry
from toolbox.testing import Finding, check_component, check_plugin, checks, missing_parameters

OFFERED = [(offer.component.kind, offer.component.name) for offer in Registry().offers()]

SPECS = {
    ("augmenter", "compose"): ['compose:steps=["flip-rotate-zoom","colour"]', 'compose:steps=["mri","randaugment"]'],
    ("evaluator", "subgroups"): ["subgroups:column=site"],
    ("dataset", "phantom"): ["phantom", "phantom:subjects=12,shuffle_labels=true"],
    ("model", "alzheimer-cnn"): ["alzheimer-cnn", "alzheimer-cnn:variant=test-2,init=he,dropout=0.3"],
    ("model", "timm"): ["timm:arch=test_resnet", "timm:arch=test_vit"],
}
"""What is checked of a component that needs a parameter, or is worth a second look; of others, their name alone."""


def spec_of(kind: Kind, name: str) -> list[str]:
    return SPECS.get((kind, name), [name])


LARGE = ("resnet50", "vgg16", "efficientnet-lite0")
"""Models that timm's small ones stand for, but for their sizes."""

WITHOUT_FILES = [
    pytest.param(kind, spec, id=f"{kind}-{spec}", marks=[pytest.mark.slow] if name in LARGE else [])
    for kind, name in OFFERED
    for spec in spec_of(kind, name)
    if name not in ("folder", "csv", "nifti", "dicom", "huggingface")
]


@pytest.mark.parametrize(("kind", "spec"), WITHOUT_FILES)
def test_a_component_conforms(registry: Registry, kind: Kind, spec: str) -> None:
    assert check_component(kind, spec, registry) == []


# ---------------------------------------------------------------------------------------- datasets that are files


def folder(root: Path) -> str:
    return f"folder:path={write_photos(root / 'photos', per_class=4)}"


def folder_with_splits(root: Path) -> str:
    for split in ("train", "test"):
        write_photos(root / "photos" / split, per_class=3)
    return f"folder:path={root / 'photos'}"


def csv(root: Path) -> str:
    files = sorted(write_photos(root / "photos", per_class=4).rglob("*.png"))
    lines = [f"{file.relative_to(root).as_posix()},{file.parent.name},p{n // 2},{n}" for n, file in enumerate(files)]
    (root / "list.csv").write_text("\n".join(["path,label,group,age", *lines]))
    return f"csv:path={root / 'list.csv'}"


def nifti_volumes(root: Path) -> str:
    for number in range(4):
        label = ("AD", "MCI")[number % 2]
        nifti.save(nifti.volume(number), root / "volumes" / label / f"sub-{number}" / f"sub-{number}_T1w.nii.gz")
    return f"nifti:path={root / 'volumes'},count=3"


def dicom_files(root: Path) -> str:
    for number in range(4):
        values = (dicom.ramp() + 100 * number).astype(np.uint16)
        dicom.write(root / "scans" / "ab"[number % 2] / f"{number}.dcm", values, patient=f"patient-{number}")
    return f"dicom:path={root / 'scans'}"


def huggingface_saved(root: Path) -> str:
    both = huggingface.datasets.DatasetDict({"train": huggingface.part(4, 0), "test": huggingface.part(2, 1)})
    both.save_to_disk(str(root / "saved"))
    return f"huggingface:repo={root / 'saved'}"


FILES = [folder, folder_with_splits, csv, nifti_volumes, dicom_files, huggingface_saved]


@pytest.mark.parametrize("write", FILES, ids=lambda write: write.__name__)
def test_a_dataset_of_files_conforms(registry: Registry, tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    assert check_component("dataset", write(tmp_path), registry) == []


def test_every_component_is_checked_here() -> None:
    names = {write.__name__.partition("_")[0] for write in FILES} | {
        str(case.values[1]).partition(":")[0] for case in WITHOUT_FILES
    }
    assert {name for _, name in OFFERED} <= names


# ------------------------------------------------------------------------------------------------ the kit's own ways


def test_a_plugin_is_checked_as_far_as_it_can_be_built(registry: Registry) -> None:
    assert missing_parameters("kornia", registry) == [("augmenter", "compose", ["steps"])]
    assert check_plugin("subgroups", registry) == []
    assert missing_parameters("subgroups", registry) == [("evaluator", "subgroups", ["column"])]
    assert check_plugin("nifti", registry) == []
    assert missing_parameters("nifti", registry) == [("dataset", "nifti", ["path"])]


def test_each_check_has_a_unique_name_and_a_reason() -> None:
    for kind in KINDS:
        found = checks(kind)
        assert len({check.name for check in found}) == len(found)
        assert all(len(check.why) > 40 for check in found)


def test_a_finding_reads_as_a_line() -> None:
    assert str(Finding("augmenter demo", "draws-are-json", "a is an int64")) == (
        "augmenter demo: a is an int64 [draws-are-json]"
    )


def test_importing_the_kit_and_its_pytest_plugin_imports_nothing_heavy() -> None:
    code = "import sys, toolbox.testing, toolbox.testing.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()}.isdisjoint(("torch", "numpy", "pydantic", "PIL"))
