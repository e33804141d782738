"""An epoch of ``alzheimer-cnn`` beside the usual input pipeline and beside no input work at all, in one run.

Run it with ``python tests/benchmarks/epoch.py [--images 8000] [--rounds 3]``. Random grey pictures of 64 pixels in two
class folders, batches of 64, Adam, training alone (no validation). Best of the rounds, which take turns.

- toolbox: an epoch of ``Workspace.train``, as its ``metrics.jsonl`` has it, checkpoint and reports of progress included
- glibc's defaults: the same without :mod:`toolbox.training.memory`
- ImageFolder: torchvision's with a DataLoader, of 0 and of 2 workers (kept from epoch to epoch)
- from memory: the same model and optimiser on batches that are ready, contiguous and channels-last

Aims: 1.5 times the better ImageFolder, 0.95 of the better form from memory.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from toolbox.api.model import ModelRequest
from toolbox.plugin.registry import Registry
from toolbox.training import experiment
from toolbox.workspace import Workspace

SIZE, BATCH = 64, 64
Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def photos(place: Path, images: int) -> Path:
    rng = np.random.default_rng(0)
    for label in ("AD", "MCI"):
        (place / label).mkdir(parents=True)
        for number in range(images // 2):
            pixels = rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
            Image.fromarray(pixels).save(place / label / f"{number:05d}.png", compress_level=0)
    return place


def toolbox(folder: Path, place: Path, tune_malloc: bool = True) -> float:
    """Seconds of the second epoch; the first one warms up."""
    settings = {
        "split.val": 0,
        "split.test": 0,
        "training.batch_size": BATCH,
        "training.epochs": 2,
        "audit.near": False,
    }
    with pytest.MonkeyPatch.context() as patch:
        if not tune_malloc:
            patch.setattr(experiment, "keep_freed_memory", nullcontext)
        run = Workspace(place, data=folder, settings={**settings, "training.optimizer": "adam"}).train("alzheimer-cnn")
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return float(json.loads(lines[-1])["seconds"])


def usual(batches: Callable[[], Batches], images: int, channels_last: bool = False) -> float:
    """Seconds that the plain loop takes for ``batches``."""
    torch.manual_seed(0)
    module = Registry().model("alzheimer-cnn").build(ModelRequest(2, 1, SIZE)).module
    if channels_last:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), 0.001)
    for stop in (3, images):  # the first steps warm up
        began = time.perf_counter()
        for number, (inputs, targets) in enumerate(batches()):
            if number >= stop:
                break
            loss = F.cross_entropy(module(inputs), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        os.environ["TOOLBOX_CACHE_DIR"] = str(place / "cache")
        folder = photos(place / "photos", given.images)
        steps = [transforms.Grayscale(), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
        dataset = ImageFolder(str(folder), transforms.Compose(steps))
        loaders = {
            f"ImageFolder, {workers} workers": DataLoader(
                dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
            )
            for workers in (0, 2)
        }
        ready = [(torch.randn(BATCH, 1, SIZE, SIZE), torch.arange(BATCH) % 2) for _ in range(given.images // BATCH)]
        last = [(inputs.contiguous(memory_format=torch.channels_last), targets) for inputs, targets in ready]
        ways: dict[str, Callable[[], float]] = {
            "toolbox": lambda: toolbox(folder, place / "ws"),
            "glibc's defaults": lambda: toolbox(folder, place / "ws", tune_malloc=False),
            **{name: (lambda loader=loader: usual(lambda: loader, given.images)) for name, loader in loaders.items()},
            "from memory, contiguous": lambda: usual(lambda: ready, given.images),
            "from memory, channels-last": lambda: usual(lambda: last, given.images, True),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, run in ways.items():
                found[name].append(given.images / run())
    print(f"{given.images} images, {SIZE} px, batches of {BATCH}, best of {given.rounds}")
    print(f"{torch.get_num_threads()} threads")
    best = {name: max(rates) for name, rates in found.items()}
    for name, rate in best.items():
        print(f"{name:28}{rate:8,.0f} images/s   toolbox is {best['toolbox'] / rate:.2f} times as fast")
    for prefix, aim in (("ImageFolder", 1.5), ("from memory", 0.95)):
        rate = max(rate for name, rate in best.items() if name.startswith(prefix))
        print(f"best of {prefix}: {best['toolbox'] / rate:.2f} (aim {aim})")


if __name__ == "__main__":
    main()
