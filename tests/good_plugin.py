"""A plugin with one component of each kind, small and right; test_kit_catches breaks it in many ways."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import nn

from toolbox.api.augmenter import Augmenter, ImageInfo, MixingAugmenter, Params
from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.engine import Engine
from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Metric
from toolbox.api.heads import DenseHead, parse_head
from toolbox.api.model import BuiltModel, Model, ModelRequest, Parts, Stages
from toolbox.api.tracker import Tracker
from toolbox.statistics.proportions import wilson


class Squares(VirtualDataset):
    """Bright and dark squares, in groups of two."""

    suggestions: Mapping[str, Any] = {"training.size": 16}

    def __init__(self, *, count: Annotated[int, Field(ge=2, description="how many")] = 12) -> None:
        self.count = count

    def samples(self) -> Iterator[Sample]:
        """Every square."""
        names = [f"square-{number:02d}" for number in range(self.count)]
        for number, name in enumerate(names):
            label = ("bright", "dark")[number // 2 % 2]
            yield Sample(id=name, path=f"#{number}", label=label, group=f"pair-{number // 2}", columns={"age": "3"})

    def load(self, sample: Sample) -> Image.Image:
        """The square of a sample."""
        number = int(sample.path[1:])
        noise = np.random.default_rng(number).integers(0, 60, (20, 20))
        return Image.fromarray((noise + 180 * (sample.label == "bright")).astype(np.uint8))


class Brighten(Augmenter):
    """Squashed to the size, brighter or darker, and turned over now and then."""

    neutral: Mapping[str, Any] = {"strength": 0, "flip": 0}

    def __init__(
        self,
        *,
        strength: Annotated[float, Field(ge=0, le=1, description="largest change, a share of white")] = 0.2,
        flip: Annotated[float, Field(ge=0, le=1, description="probability of a flip")] = 0.5,
    ) -> None:
        self.strength = strength
        self.flip = flip

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """shift in grey levels, and flip."""
        shift = float(rng.uniform(-255 * self.strength, 255 * self.strength))
        flip = bool(rng.random() < self.flip)
        return {"shift": shift, "flip": flip}

    def apply(self, images: Any, params: Sequence[Params], size: int) -> Any:
        """See the protocol."""
        copies = []
        for image, each in zip(images, params, strict=True):
            height, width, _ = image.shape
            values = image[np.arange(size) * height // size][:, np.arange(size) * width // size].astype(float)
            values = np.rint(np.clip(values + each["shift"], 0, 255)).astype(np.uint8)
            copies.append(values[:, ::-1] if each["flip"] else values)
        return np.stack(copies)

    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """See the protocol."""
        height, width = images.shape[2:]
        rows, columns = torch.arange(size) * height // size, torch.arange(size) * width // size
        values = images[:, :, rows][:, :, :, columns].float()
        shifts = torch.tensor([float(each["shift"]) for each in params]).reshape(-1, 1, 1, 1)
        flips = torch.tensor([bool(each["flip"]) for each in params]).reshape(-1, 1, 1, 1)
        values = (values + shifts).clamp(0, 255).round().to(torch.uint8)
        return torch.where(flips, values.flip(3), values)


class Blend(MixingAugmenter):
    """Each image with its neighbour."""

    def draw_batch(self, rng: np.random.Generator, count: int, info: ImageInfo) -> Params:
        """share of the image itself."""
        return {"share": float(rng.uniform(0.5, 1))}

    def mix(self, images: torch.Tensor, targets: torch.Tensor, params: Params) -> Any:
        """See the protocol."""
        share = float(params["share"])
        rest = 1 - share
        return share * images + rest * images.roll(1, 0), share * targets + rest * targets.roll(1, 0)


class Net(nn.Module):
    """Two convolutions and a head."""

    def __init__(self, channels: int, head: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.last = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits = self.head(self.last(self.trunk(images)))
        return logits


class Tiny(Model):
    """A very small network."""

    size = 32
    channels = 3

    def build(self, request: ModelRequest) -> BuiltModel:
        """See the protocol."""
        if request.pretrained:
            raise WeightsUnavailable("tiny has no weights", "Train it from scratch.")
        plan = parse_head(request.head)
        head = DenseHead(8, plan.hidden if plan else (), request.classes)
        module = Net(request.channels, head)
        names = [name for name, _ in module.named_parameters()]
        trunk, last, own = (frozenset(n for n in names if n.startswith(f"{p}.")) for p in ("trunk", "last", "head"))
        return BuiltModel(
            module,
            Parts(trunk, last, own, blocks=(trunk, last)),
            mean=(0.5,) * request.channels,
            std=(0.25,) * request.channels,
            stages=Stages(module.trunk, module.last, module.head),
        )


class Right(Evaluator):
    """How many are right."""

    perfect: Mapping[str, float] = {"right": 1.0}

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the protocol."""
        if not len(evidence.ids):
            raise UsageError("there is nothing to evaluate")
        order = sorted(range(len(evidence.ids)), key=lambda index: evidence.ids[index])
        hits = (evidence.probabilities.argmax(1) == evidence.targets)[order]
        rng = np.random.default_rng(evidence.seed)
        means = [float(hits[rng.integers(0, len(hits), len(hits))].mean()) for _ in range(200)]
        value = float(hits.mean())
        low, high = wilson(int(hits.sum()), len(hits))
        rare = np.bincount(evidence.targets, minlength=len(evidence.classes))
        recall = [float(hits[evidence.targets[order] == k].mean()) if rare[k] else None for k in range(len(rare))]
        metrics = {
            "right": Metric(value, low, high, "Wilson"),
            "spread": Metric(float(np.std(means))),
            "rarest": Metric(recall[int(rare.argmin())]),
        }
        return Evaluation(metrics, extra={"digest": hashlib.sha256(str(value).encode()).hexdigest()})


class Lines(Tracker):
    """A line of text for each epoch, in the run's folder."""

    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """See the protocol."""
        self.path = folder / "lines.txt"
        self.path.write_text(f"{record['model']}\n")
        for line in history:
            self.epoch(line)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """See the protocol."""
        loss = "unknown" if line["val_loss"] is None else f"{line['val_loss']:.3f}"
        with self.path.open("a") as file:
            file.write(f"{line['epoch']}: {loss}\n")

    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
        """See the protocol."""
        metrics = evaluation["metrics"] if evaluation else {}
        with self.path.open("a") as file:
            file.write(f"{record['status']} {metrics}\n")


class Serial(Engine):
    """One item after the other."""

    def map(self, work: Callable[[Any], Any], items: Iterable[Any], *, finish: bool = True) -> Generator[Any]:
        """See the protocol."""
        for item in items:
            result = work(item)
            yield result
