"""The plugin does what the toolbox relies on, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evidence
from toolbox.plugin.registry import Registry
from toolbox.testing import check_component


@pytest.mark.toolbox_plugin("example")
@pytest.mark.toolbox_component("augmenter", "erase:probability=1,fill=black")
@pytest.mark.toolbox_component("model", "small-cnn:width=4")
def test_it_conforms(toolbox_check: Callable[[], None]) -> None:
    toolbox_check()


def archive(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def pictures(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_an_archive_of_ones_own_conforms(tmp_path: Path) -> None:
    labels, groups = np.array(["cat", "dog"] * 6), np.arange(12) // 3
    path = archive(tmp_path / "own.npz", images=pictures(12, 24, 32, 3), labels=labels, groups=groups)
    assert check_component("dataset", {"name": "npz", "path": str(path)}) == []


def test_medmnists_parts_are_splits(tmp_path: Path) -> None:
    parts = {f"{part}_images": pictures(n, 28, 28) for part, n in (("train", 8), ("val", 4), ("test", 6))}
    labels = {f"{part}_labels": (np.arange(n) % 2)[:, None] for part, n in (("train", 8), ("val", 4), ("test", 6))}
    path = archive(tmp_path / "med.npz", **parts, **labels)
    spec = {"name": "npz", "path": str(path), "names": ["malignant", "normal"]}
    assert check_component("dataset", spec) == []
    dataset = Registry().dataset(spec)
    samples = list(dataset.samples())
    assert [sample.split for sample in samples] == ["train"] * 8 + ["val"] * 4 + ["test"] * 6
    assert samples[1].label == "normal"
    assert np.array_equal(np.asarray(dataset.load(samples[9])), parts["val_images"][1])  # type: ignore[attr-defined]


def test_an_archive_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "evil.npz", images=np.array([object()]), labels=np.array([0]))
    with pytest.raises(UsageError, match="can't be read"):
        Registry().dataset({"name": "npz", "path": str(path)})


def test_a_rectangle_of_the_area_that_was_drawn_is_blanked() -> None:
    augmenter = Registry().augmenter("erase:fill=black,probability=1")
    white = np.full((1, 40, 60, 3), 255, np.uint8)
    copy = augmenter.apply(white, [{"left": 0.25, "top": 0.5, "right": 0.75, "bottom": 1.0}], 40)[0]
    assert (copy[20:, 10:30] == 0).all()
    assert (copy == 255).mean() == 0.75


def test_a_far_miss_counts_more_than_a_near_one() -> None:
    def kappa(answers: list[int]) -> float:
        targets, grades = np.array([0, 0, 1, 1, 2, 2]), ["mild", "moderate", "severe"]
        evidence = Evidence([str(n) for n in range(6)], targets, np.eye(3)[answers], grades)
        value = Registry().evaluator("graded").evaluate(evidence).metrics["weighted_kappa"].value
        assert value is not None
        return value

    assert kappa([0, 0, 1, 1, 2, 2]) == 1 > kappa([1, 0, 1, 1, 2, 2]) > kappa([2, 0, 1, 1, 2, 2])
