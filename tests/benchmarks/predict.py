"""``predict`` and ``evaluate`` on decoded images, beside the bare forward pass of the same model.

Run it with ``python tests/benchmarks/predict.py [MODEL] [SIZE] [IMAGES] [BATCH] [ROUNDS]``; without arguments ResNet50
with random weights at 224 pixels, 64 images in batches of 32, 7 rounds. The ways are measured in turn. What counts on a
quiet machine is the median over the rounds of the ratio within a round. The aim is 0.95.

On a busy machine one way meets more of the others' work than the next. So the time within the module is summed up in
the same pass, too: its share of the whole is what input, batches and softmax leave to the model, whatever else runs.

- bare: the module (channels-last, inference mode) on float batches that are ready.
- predict: ``Predictor.over``, which the two commands run, on images that are decoded: threads, batches, softmax.
- evaluate: ``Predictor.of_rows`` on a dataset whose pictures are in memory, at the model's size.
- from files: ``Predictor.files`` on JPEG photos of 640 x 480 pixels; decoding is then part of the work.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.progress import SilentReporter
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.models import predict
from toolbox.plugin.registry import Registry
from toolbox.settings.schema import Settings
from toolbox.training.inputs import Pixels
from toolbox.workspace import Workspace

ROUNDS = 7


class InMemory(VirtualDataset):
    """Pictures that are there."""

    def __init__(self, pictures: list[Image.Image]) -> None:
        self.pictures = pictures

    def samples(self) -> Iterator[Sample]:
        """One for each."""
        return (Sample(str(number), str(number), "a") for number in range(len(self.pictures)))

    def load(self, sample: Sample) -> Image.Image:
        """The picture itself."""
        return self.pictures[int(sample.id)]


def trained(folder: Path, model: str, size: int) -> Workspace:
    """A workspace with a run of ``model`` that was not trained at all."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "data" / label).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "data" / label / f"{number}.png")
    settings = {"training.pretrained": False, "training.size": size, "head.epochs": 0}
    ws = Workspace(folder / "ws", data=folder / "data", settings=settings)
    ws.finetune(model)
    return ws


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Within:
    """Sums up the seconds that a module's forward passes take."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.seconds = 0.0
        module.register_forward_pre_hook(self._begin)
        module.register_forward_hook(self._end)

    def _begin(self, *_: object) -> None:
        self._start = time.perf_counter()

    def _end(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start


def measure(
    model: str, size: int, count: int, batch: int, rounds: int = ROUNDS
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of each way in each round, and the seconds of them that were spent within the module."""
    registry = Registry()
    settings = Settings.model_validate({"training": {"batch_size": batch}})
    images = np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    pictures = [Image.fromarray(image) for image in images]
    rows = [Row(str(number), str(number), "a") for number in range(count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = trained(folder, model, size).run()
        predictor = predict.load(run, registry, settings)
        # Building the module is no part of an evaluation's speed on many images.
        predict.load = lambda *_: predictor
        paths = [folder / f"{number}.jpg" for number in range(count)]
        for path, picture in zip(paths, pictures, strict=True):
            picture.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=85)
        pixels = Pixels(images, predictor.built.mean, predictor.built.std, predictor.device)
        ready = [pixels.batch(indices) for indices in torch.split(torch.arange(count), batch)]
        source = Source(InMemory(pictures), "memory")

        def bare() -> None:
            with torch.inference_mode():
                for given in ready:
                    predictor.built.module(given)

        def normalising() -> None:
            for indices in torch.split(torch.arange(count), batch):
                pixels.batch(indices)

        ways: dict[str, Callable[[], object]] = {
            "bare": bare,
            "predict": lambda: list(predictor.over(range(count), lambda number: images[number])),
            "evaluate": lambda: predict.load(run, registry, settings).of_rows(rows, source, SilentReporter()),
            "from files": lambda: list(predictor.files(paths)),
            "normalising": normalising,
        }
        for way in ways.values():
            way()
        found: dict[str, list[float]] = {name: [] for name in ways}
        inside: dict[str, list[float]] = {name: [] for name in ways}
        within = Within(predictor.built.module)
        for turn in range(rounds):
            # Each round begins with another one.
            names = list(ways)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                before = within.seconds
                found[name].append(seconds(ways[name]))
                inside[name].append(within.seconds - before)
    return found, inside


def main(
    model: str = "resnet50", size: str = "224", count: str = "64", batch: str = "32", rounds: str = str(ROUNDS)
) -> None:
    """Print images a second of each way, the ratios to the bare forward pass, and the shares within the module."""
    found, inside = measure(model, int(size), int(count), int(batch), int(rounds))
    print(f"{model}, {size} pixels, {count} images in batches of {batch}, {torch.get_num_threads()} threads")
    for name in ("bare", "predict", "evaluate", "from files"):
        speed = int(count) / statistics.median(found[name])
        ratio = statistics.median(bare / own for bare, own in zip(found["bare"], found[name], strict=True))
        share = statistics.median(own / whole for own, whole in zip(inside[name], found[name], strict=True))
        print(f"{name:>11}: {speed:7.1f} images/s, ratio {ratio:.3f}, within the module {share:.3f} of the time")
    share = statistics.median(own / bare for bare, own in zip(found["bare"], found["normalising"], strict=True))
    print(f"gathering and normalising batches takes {share:.1%} of a bare forward pass")


if __name__ == "__main__":
    main(*sys.argv[1:])
