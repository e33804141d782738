"""Loads the trained model of a run, and predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from toolbox.api.errors import EnvironmentFailure, ToolboxError, UsageError
from toolbox.api.evaluator import TrainedModel
from toolbox.api.images import as_array, decode, read_file, resize_to_square
from toolbox.api.model import BuiltModel, ModelRequest
from toolbox.api.progress import Reporter, tracked
from toolbox.api.threads import map_in_threads
from toolbox.data.image_paths import list_images
from toolbox.data.index import QuarantinedSample
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.files import fingerprint
from toolbox.models import build, weights
from toolbox.models.build import ModelConfig
from toolbox.models.checks import guard_forward
from toolbox.models.normalize import Normalize, to_tensor
from toolbox.models.precision import Forward
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.runs.folder import MODEL, Run
from toolbox.settings.schema import Settings

A = TypeVar("A")
Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction for one image. ``probabilities``: float64 ``[K]``, in the order of ``classes``."""

    path: str
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]

    def ranked(self, top: int | None = None) -> list[tuple[str, float]]:
        """The ``top`` classes (default: all) with their probabilities, the most likely first."""
        order = np.argsort(-self.probabilities, kind="stable")[:top]
        return [(self.classes[index], float(self.probabilities[index])) for index in order]


@dataclass(frozen=True)
class Predictions:
    """Lazy predictions for ``paths``, in their order.

    Iterating yields for each path the prediction, or the reason why the file can't be read.
    """

    run: Run
    classes: tuple[str, ...]
    paths: Sequence[Path]
    results: Iterator[Predicted | QuarantinedSample]

    def __iter__(self) -> Iterator[Predicted | QuarantinedSample]:
        return self.results

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class Predictor(TrainedModel):
    """A run's model, ready for use. Evaluators get this object, too."""

    run: Run
    built: BuiltModel
    classes: tuple[str, ...]
    size: int
    channels: int
    device: torch.device
    batch_size: int

    def files(self, paths: Iterable[Path]) -> Iterator[Predicted | QuarantinedSample]:
        """A prediction for each of ``paths`` in their order, or why the file can't be read.

        At most two batches are in memory at a time.
        """

        def read(path: Path) -> Array | str:
            try:
                return self.prepared(decode(read_file(path)).image)
            except (OSError, ValueError) as error:
                return " ".join(str(error).split())

        for path, result in self.over(paths, read):
            if isinstance(result, str):
                yield QuarantinedSample(str(path), result)
            else:
                yield Predicted(str(path), self.classes, result)

    def over(
        self, items: Iterable[A], read: Callable[[A], Array | str]
    ) -> Iterator[tuple[A, npt.NDArray[np.float64] | str]]:
        """Each of ``items`` with its probabilities, float64 ``[K]``.

        ``read`` gives an item's image, uint8 ``[size, size, channels]``, or the reason why there is none, which is
        returned in place of probabilities. It runs in threads, a batch ahead of the model.

        Raises
        ------
        EnvironmentFailure: the device is out of memory.
        ToolboxError: the model gives values that are not finite.
        """
        loaded = map_in_threads(lambda item: (item, read(item)), items, ahead=self.batch_size + 8)
        while batch := list(islice(loaded, self.batch_size)):
            images = [image for _, image in batch if not isinstance(image, str)]
            probabilities = iter(self.probabilities(np.stack(images)) if images else ())
            for item, image in batch:
                yield item, image if isinstance(image, str) else next(probabilities)

    def of_rows(self, rows: Sequence[Row], source: Source, reporter: Reporter) -> npt.NDArray[np.float64]:
        """Probabilities for samples of a dataset: float64 ``[N, K]``.

        Raises
        ------
        toolbox.data.source.ImageChanged: an image is gone or no longer what it was.
        """
        results = self.over(rows, lambda row: self.prepared(source.image(row)))
        tracked_results = tracked(results, reporter, "predicting", len(rows), "images")
        return np.array([probabilities for _, probabilities in tracked_results], np.float64)

    def prepared(self, image: Image.Image) -> Array:
        """See :class:`TrainedModel`."""
        return as_array(resize_to_square(image, self.size), self.channels)

    def inputs(self, images: Array) -> torch.Tensor:
        """See :class:`TrainedModel`."""
        normalize = Normalize(self.built.mean, self.built.std).to(self.device)
        normalized: torch.Tensor = normalize(to_tensor(images, self.device))
        return normalized

    def probabilities(self, images: Array) -> npt.NDArray[np.float64]:
        """See :class:`TrainedModel`.

        Raises
        ------
        EnvironmentFailure: the device is out of memory.
        ToolboxError: the model gives values that are not finite.
        """
        batches = [self._batch(images[at : at + self.batch_size]) for at in range(0, len(images), self.batch_size)]
        return np.concatenate(batches) if batches else np.empty((0, len(self.classes)))

    @cached_property
    def _forward(self) -> Forward:
        return guard_forward(self.built.module, self.built.module, len(self.classes))

    def _batch(self, images: Array) -> npt.NDArray[np.float64]:
        try:
            with torch.inference_mode():
                logits = self._forward(self.inputs(images))
                result: npt.NDArray[np.float64] = torch.softmax(logits.cpu().double(), 1).numpy()
        except RuntimeError as error:  # the CPU's allocator raises no specific error
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise EnvironmentFailure(
                    f"{self.device} ran out of memory at batch size {len(images)}", "Lower --batch-size."
                ) from error
            raise
        if not np.isfinite(result).all():
            raise ToolboxError(f"the run {self.run.id} gives probabilities that are not finite", "Train it again.")
        return result


def predict_images(
    run: Run, images: Sequence[str | Path], limit: int | None, registry: Registry, settings: Settings
) -> Predictions:
    """What ``run`` predicts for the first ``limit`` of ``images`` (see :func:`list_images`).

    Raises what :func:`list_images` and :func:`load` do.
    """
    paths = list_images(images)[:limit]
    predictor = load(run, registry, settings)
    return Predictions(run, predictor.classes, paths, predictor.files(paths))


def load(run: Run, registry: Registry, settings: Settings) -> Predictor:
    """A finished run's model on the device of ``settings``, with its batch size.

    Raises
    ------
    UsageError: the run's files are missing or don't fit together.
    """
    device = build.resolve_device(settings)
    built = load_model(run, registry, device)
    request, classes = run.record.request, tuple(run.record.data.classes)
    return Predictor(run, built, classes, request.size, request.channels, device, settings.training.batch_size)


def load_model(run: Run, registry: Registry, device: torch.device) -> BuiltModel:
    """A finished run's model, in evaluation mode.

    Raises
    ------
    UsageError: its files are missing or don't fit together.
    """
    if not (run.path / MODEL).is_file():
        raise UsageError(f"the run {run.id} has no {MODEL}", "Its training did not come to its end.")
    record = run.record
    if record.model_sha256 and fingerprint.of_file(run.path / MODEL) != record.model_sha256:
        raise UsageError(
            f"{run.path / MODEL} has changed since the run was trained", "Restore the file, or train the run again."
        )
    spec = parse(record.model)
    request = ModelRequest(**record.request.model_dump(include=set(ModelRequest.__dataclass_fields__)))
    built = build.build_model(ModelConfig(spec, registry.model(spec), replace(request, pretrained=False)))
    loaded = weights.load_weights(built, weights.read_weights(run.path / MODEL), keep_head=True)
    module = loaded.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.eval()
    return replace(loaded, module=module, mean=tuple(record.mean), std=tuple(record.std))
