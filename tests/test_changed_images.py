"""An image that changed after it was indexed is not trained on, and never reaches the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Toolbox
from toolbox.api.errors import ToolboxError
from toolbox.cache import folder as cache
from toolbox.data.source import ImageChanged
from toolbox.evaluation import evidence
from toolbox.runs.folder import PREDICTIONS
from toolbox.runs.predictions import Predictions
from toolbox.workspace import Workspace

TINY = "timm:arch=test_resnet"
QUICK = {"training.size": 32, "training.epochs": 1, "training.batch_size": 8, "training.pretrained": False}
SETS = [word for name, value in QUICK.items() for word in ("--set", f"{name}={str(value).lower()}")]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLBOX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def cached() -> set[str]:
    """The keys of all images of which the cache holds anything."""
    keys = (entry.path / "keys.txt" for entry in cache.list_entries() if entry.kind == "table")
    return {line.split()[0] for path in keys if path.exists() for line in path.read_text().splitlines()}


def blacken(path: Path) -> Callable[[], object]:
    """Replace the image in ``path`` by a black one of its size; the result puts it back."""
    before = path.read_bytes()
    with Image.open(path) as image:
        Image.new(image.mode, image.size).save(path)
    return lambda: path.write_bytes(before)


def test_copies_that_changed_are_refused_and_leave_no_trace(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ws"
    common = ("--data", photos, "-C", folder, "--json")
    made = toolbox("augment", "--factor", 2, "--size", 32, *common).document["path"]
    copies = sorted((folder / made).rglob("*.jpg"))
    put_back = [blacken(copy) for copy in copies]
    refused = toolbox("train", TINY, "--train-on", "augmented", *SETS, *common)
    assert refused.code == 1 and copies[0].stem[:4] in refused.stderr and "toolbox augment" in refused.stderr
    assert "has changed since" in refused.stderr and not any(key.startswith("file-") for key in cached())
    for restore in put_back:
        restore()
    warm = toolbox("train", TINY, "--train-on", "augmented", *SETS, *common)
    assert warm.code == 0, warm.stderr
    fresh = toolbox("train", TINY, "--train-on", "augmented", *SETS, "--set", "training.cache_gb=0", *common)
    first, second = (Predictions.read(folder / done.document["path"] / PREDICTIONS) for done in (warm, fresh))
    assert np.array_equal(first.probabilities, second.probabilities)


@pytest.mark.parametrize("method", ["train", "finetune"])
@pytest.mark.parametrize("cache_gb", [0, 1])
def test_a_source_that_changed_after_it_was_indexed_is_refused(
    photos: Path, tmp_path: Path, method: str, cache_gb: int
) -> None:
    settings = {**QUICK, "head.epochs": 1, "training.cache_gb": cache_gb, "training.train_on": "originals"}
    workspace = Workspace(tmp_path / "ws", data=photos, settings=settings)
    row = workspace.split.manifest.part("train")[0]
    blacken(photos / row.path)
    with pytest.raises(ImageChanged, match=row.path) as caught:
        getattr(workspace, method)(TINY)
    assert caught.value.exit_code == ToolboxError.exit_code == 1
    assert row.pixels not in cached()


def test_the_same_pixels_in_other_bytes_are_the_same_image(photos: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws", data=photos, settings={**QUICK, "training.train_on": "originals"})
    row = workspace.split.manifest.part("train")[0]
    with Image.open(photos / row.path) as image:
        image.load()
    image.save(photos / row.path, compress_level=0)
    assert workspace.train(TINY).finished


def test_evaluators_get_no_copy_that_changed(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "split.protocol": "augment-then-split", "augment.factor": 2, "augment.size": 32}
    workspace = Workspace(tmp_path / "ws", data=photos, settings={**settings, "training.train_on": "augmented"})
    made = workspace.augment().path
    run = workspace.train(TINY)
    ids = Predictions.read(run.path / PREDICTIONS).part("test").ids
    source = evidence.source_of_run(run, workspace.path, workspace.settings, workspace.registry, workspace.reporter)
    assert source.images(ids)(0) is not None
    blacken(made / source._rows[ids[0]].path)
    assert source.images(ids)(0) is None and source.images(ids)(1) is not None
