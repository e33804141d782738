"""Two-stage fine-tuning beside the plain loop, in one run: the same images, weights, batches and losses.

Run it with ``TOOLBOX_TEST_DATA=FOLDER python tests/benchmarks/finetune.py [--models resnet50 vgg16] [--images 160]
[--epochs 2] [--weights FOLDER]``, where FOLDER holds ``cats_dogs/train``.

- plain: timm's module and torch's optimiser. The trunk is frozen and in evaluation mode, nothing is kept, and every
  step computes the whole forward pass, as the usual loop does. Pictures are decoded beforehand and stay in memory, so
  that the ratio is about the arithmetic alone.
- toolbox: ``Workspace.finetune``, from an empty cache, reading, audit, activations, evaluation and all files included.

Both run so many epochs of both stages; what 20 + 30 would take is computed from the seconds of an epoch and what does
not depend on their number. Then five seeds of the frozen stage alone, 20 epochs each: the toolbox runs them, the plain
loop's time is computed. Losses of every epoch are compared. Aims: 3 times (ResNet50), 6 times (VGG16), 20 times for
the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from toolbox.api.progress import SilentReporter
from toolbox.cache.folder import scratch_folder
from toolbox.models import freeze
from toolbox.training import inputs, loop, schedules, stages
from toolbox.training.activation_cache import load_pixels
from toolbox.training.batches import derive_seed, epoch_batches
from toolbox.training.session import Experiment, Session
from toolbox.workspace import Workspace

AIMS = {"resnet50": 3, "vgg16": 6}
HEAD, LAST, SEEDS, AIM_SEEDS = 20, 30, 5, 20


@dataclass(frozen=True)
class Took:
    """Seconds of an epoch of each stage, seconds beside them, and the losses of all epochs."""

    head: float
    last: float
    rest: float
    losses: list[float]

    def whole(self, head: int, last: int) -> float:
        """Seconds for so many epochs."""
        return self.rest + head * self.head + last * self.last


def settings(epochs: tuple[int, int], weights: str) -> dict[str, Any]:
    given = {"training.weights_dir": weights} if weights else {"training.pretrained": False}
    rest = {"head.epochs": epochs[0], "last.epochs": epochs[1], "training.early_stopping": False, "audit.near": False}
    return {**rest, **given, "training.train_on": "originals", "split.val": 0.2, "split.test": 0.1}


def plain(ws: Workspace, model: str, epochs: tuple[int, int]) -> Took:
    """The usual loop. Data, initial weights and order are taken from the toolbox, so that the losses must be its."""
    from toolbox.plugin.spec import parse

    experiment = Experiment(parse(model), ws.settings, ws.split, ws.path, ws.registry, True)
    with scratch_folder() as folder:
        session = Session(experiment, folder, SilentReporter())
        module, parts = session.built.module, session.built.parts
        rows = {name: ws.split.manifest.part(name) for name in ("train", "val")}
        data = {name: session.label(load_pixels(session, part, ws.source, name), part) for name, part in rows.items()}
        for labelled in data.values():
            assert isinstance(labelled.inputs, inputs.Pixels) and len(
                labelled.inputs.images
            )  # decoded before the clock
        seconds, losses = [], []
        plans = stages.plan_stages(ws.settings, True)
        for plan, names in zip(plans, (parts.head, parts.last | parts.head), strict=True):
            freeze.freeze_all_but(module, names, plan.settings.batch_norm)
            optimizer = schedules.make_optimizer(module, plan, None)
            torch.manual_seed(derive_seed(ws.settings.seed, plan.name, "layers"))
            began = time.perf_counter()
            for epoch in range(1, plan.settings.epochs + 1):
                freeze.set_training_mode(module, plan.settings.batch_norm)
                total = 0.0
                for indices in epoch_batches(data["train"].targets, plan, epoch):
                    logits = module(data["train"].inputs.batch(indices))
                    loss = F.cross_entropy(logits, data["train"].targets[indices])
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                    total += loss.item() * len(indices)
                measured = loop.evaluate(module, module, data["val"], plan).loss
                losses += [total / len(data["train"].targets), measured]
            seconds.append((time.perf_counter() - began) / plan.settings.epochs)
    return Took(seconds[0], seconds[1], 0.0, losses)


def ours(ws: Workspace, model: str) -> Took:
    began = time.perf_counter()
    run = ws.finetune(model, unfreeze_last=True)
    took = time.perf_counter() - began
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    seconds = {stage: [line["seconds"] for line in lines if line["stage"] == stage] for stage in ("head", "last")}
    means = {stage: sum(found) / len(found) for stage, found in seconds.items()}
    losses = [line[name] for line in lines for name in ("train_loss", "val_loss")]
    return Took(means["head"], means["last"], took - sum(map(sum, seconds.values())), losses)


def seeds(photos: Path, place: Path, model: str, weights: str) -> float:
    """Seconds that so many frozen stages take, each a run of its own, from an empty cache."""
    began = time.perf_counter()
    for seed in range(SEEDS):
        Workspace(place, data=photos, settings={**settings((HEAD, 0), weights), "seed": seed}).finetune(model)
    return time.perf_counter() - began


def compare(model: str, photos: Path, place: Path, epochs: tuple[int, int], weights: str) -> None:
    def workspace(name: str) -> Workspace:
        os.environ["TOOLBOX_CACHE_DIR"] = str(place / f"{name}-cache")
        return Workspace(place / name, data=photos, settings=settings(epochs, weights))

    usual = plain(workspace("plain"), model, epochs)
    toolbox = ours(workspace("toolbox"), model)
    apart = max(abs(a - b) for a, b in zip(usual.losses, toolbox.losses, strict=True))
    print(f"\n{model}, {(weights and 'weights of ' + weights) or 'random weights'}")
    print(f"{'':12}{'head, s/epoch':>15}{'last, s/epoch':>15}{'beside, s':>12}{f'{HEAD} + {LAST}, s':>14}")
    for name, took in (("plain loop", usual), ("toolbox", toolbox)):
        print(f"{name:12}{took.head:15.2f}{took.last:15.2f}{took.rest:12.1f}{took.whole(HEAD, LAST):14.0f}")
    ratio = usual.whole(HEAD, LAST) / toolbox.whole(HEAD, LAST)
    print(f"{ratio:.1f} times as fast over {HEAD} + {LAST} epochs (aim {AIMS.get(model, 3)});", end=" ")
    print(f"losses differ by {apart:.1e} at most (aim 1e-5)")
    if not weights:  # a random trunk is another one for each seed
        file = place / "weights" / f"{model}.safetensors"
        file.parent.mkdir(exist_ok=True)
        (run,) = (place / "toolbox" / "runs").iterdir()
        shutil.copy(run / "model.safetensors", file)
        weights = str(file.parent)
    os.environ["TOOLBOX_CACHE_DIR"] = str(place / "seeds-cache")
    took = seeds(photos, place / "seeds", model, weights)
    alone = SEEDS * HEAD * usual.head
    print(f"{SEEDS} seeds of the frozen stage, {HEAD} epochs: {alone:.0f} s plain, {took:.1f} s toolbox,", end=" ")
    print(f"{alone / took:.1f} times (aim {AIM_SEEDS})", flush=True)


def some(source: Path, place: Path, images: int) -> Path:
    """A folder with so many photos, as many of each class."""
    for label in sorted(path for path in source.iterdir() if path.is_dir()):
        (place / label.name).mkdir(parents=True)
        for photo in sorted(label.iterdir())[: images // 2]:
            shutil.copy(photo, place / label.name)
    return place


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="*", default=list(AIMS))
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--weights", default="", help="a folder of weight files; random weights without it")
    given = parser.parse_args()
    source = Path(os.environ["TOOLBOX_TEST_DATA"]) / "cats_dogs" / "train"
    print(f"{given.images} photos, 224 px, {given.epochs} + {given.epochs} epochs, {torch.get_num_threads()} threads")
    for model in given.models:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            photos = some(source, place / "photos", given.images)
            compare(model, photos, place, (given.epochs, given.epochs), given.weights)


if __name__ == "__main__":
    main()
