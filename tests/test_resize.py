"""One way from a picture to what a network sees: originals and copies that nothing moves are the same."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import write_photos
from toolbox.api.images import as_array, resize_to_square
from toolbox.api.progress import SilentReporter
from toolbox.api.warp import resize
from toolbox.augment.encode import CopyEncoder
from toolbox.augment.recipe import build_recipe
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.training.inputs import Pixels, augment_online, decode_images
from toolbox.workspace import Workspace

UNMOVED = "alzheimer:rotation=0,width_shift=0,height_shift=0,shear=0,zoom=0,flip=0"
SIZE = 32


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """Pictures that are reduced by factors of 2.8 and 2.2 and, as one in six is tiny, enlarged."""
    root = write_photos(tmp_path / "photos", per_class=10, size=(90, 70))
    for path in sorted(root.rglob("*.png"))[::6]:
        Image.open(path).resize((20, 24)).save(path)
    settings = {
        "augment.augmenter": UNMOVED,
        "augment.factor": 2,
        "augment.format": "png",
        "augment.size": SIZE,
        "split.test": 0,
    }
    return Workspace(tmp_path / "ws", data=root, settings=settings)


def as_trained(ws: Workspace, channels: int = 3) -> dict[str, np.ndarray]:
    """The originals as a network is trained on them."""
    rows = ws.split.manifest.part("train")
    images = decode_images(rows, ws.source, SIZE, channels, ws.path, SilentReporter(), "images")
    return {row.id: image for row, image in zip(rows, images, strict=True)}


def test_a_copy_that_nothing_moves_is_its_source_as_trained(ws: Workspace) -> None:
    folder = ws.augment().path
    originals = as_trained(ws)
    copies = list(folder.rglob("*.png"))
    assert len(copies) == 2 * len(originals)
    for line in (folder / "lineage.jsonl").read_text().splitlines():
        document = json.loads(line)
        copy = np.asarray(Image.open(folder / document["path"]), float)
        assert np.abs(copy - originals[document["source"]]).max() <= 0.5


def test_an_online_copy_that_nothing_moves_is_its_source_as_trained(ws: Workspace, registry: Registry) -> None:
    rows, images = ws.split.manifest.part("train"), np.stack(list(as_trained(ws).values()))
    pixels = Pixels(images, [0.0] * 3, [1.0] * 3, torch.device("cpu"), [row.pixels for row in rows])
    augmenter = registry.online_augmenter(parse(UNMOVED))
    online = augment_online(pixels, rows, augmenter, 0, 2)
    indices = torch.arange(len(rows))
    assert (online.batch(indices) - pixels.batch(indices)).abs().max() * 255 <= 0.5


def test_reducing_is_as_antialiased_as_pillow(real_data: Path) -> None:
    """Within half a grey level on average, and as sharp, so that other programs can use exported models."""
    paths = sorted((real_data / "cats_dogs" / "train").rglob("*.jpg"))[::25]
    differences, sharpness = [], []
    for path in paths:
        picture = Image.open(path).convert("RGB")
        ours = resize(as_array(picture), 224).astype(np.float32)
        pillows = np.asarray(picture.resize((224, 224), Image.Resampling.BILINEAR), np.float32)
        differences.append(np.abs(ours - pillows).mean())
        ours_edges, pillows_edges = (np.abs(cv2.Laplacian(each, cv2.CV_32F)).mean() for each in (ours, pillows))
        sharpness.append(ours_edges / pillows_edges)
    print(f"{np.mean(differences):.2f} grey levels, {np.mean(sharpness) - 1:+.1%} Laplacian")
    assert np.mean(differences) < 0.5 and abs(np.mean(sharpness) - 1) < 0.04


def test_jpeg_copies_are_as_sharp_as_their_sources(ws: Workspace, registry: Registry, real_data: Path) -> None:
    """What is left between a copy that nothing moves and its source is JPEG's own loss."""
    settings = ws.settings.model_copy(
        update={"augment": ws.settings.augment.model_copy(update={"format": "jpeg", "quality": 100, "size": 224})}
    )
    recipe = build_recipe(settings, ws.split.manifest)
    augmenter = registry.augmenter(recipe.spec)
    for path in sorted((real_data / "cats_dogs" / "train").rglob("*.jpg"))[::100]:
        picture = Image.open(path).convert("RGB")
        params = augmenter.draw(np.random.default_rng(0), None)  # type: ignore[arg-type]  # nothing is drawn by it
        (data,) = CopyEncoder(augmenter, picture, recipe, 8).files([params])
        source = np.asarray(resize_to_square(picture, 224).convert("L"), float)
        copy = np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)
        assert np.abs(copy - source).mean() < 1.0
