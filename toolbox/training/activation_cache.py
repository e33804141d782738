"""What can't change is computed once: decoded images, and the activations of a frozen part of a model.

Both are cached (:mod:`toolbox.cache`) by content: the key of a row is the hash of an image's pixels, and a table is
named after everything else that its rows depend on. So later runs, other seeds and other folds reuse them.

An image's activations must not depend on the other images of its batch, or a run with a warm cache would end with
other bits than one with a cold cache. On a CPU the last bits depend on a batch's size, because libraries choose their
kernels by it, but not on its other images; so every batch here has :data:`BATCH_SIZE` images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from toolbox.api.errors import EnvironmentFailure
from toolbox.api.progress import tracked
from toolbox.api.warp import RESAMPLING
from toolbox.cache.table import NoRoom, Table
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.models import freeze
from toolbox.models.precision import Forward
from toolbox.settings import environment
from toolbox.training.inputs import IN_MEMORY, Activations, Array, Inputs, ModelInputs, Pixels, decode_images
from toolbox.training.session import Session

TRUNK, FEATURES = "activations of the trunk", "features before the head"
"""The two steps whose activations are cached."""

BATCH_SIZE = 32
"""Images in every batch that activations are computed in; the last one is padded."""

VERSION = 1
"""To be raised with whatever changes a row, so that no outdated row is read."""


_VERSIONS = [VERSION, RESAMPLING]


def load_pixels(session: Session, rows: Sequence[Row], source: Source, what: str) -> Pixels:
    """The images of ``rows`` as inputs, decoded on first use unless they are cached. ``what``: for the progress bar."""
    # Copies have no pixel hash, but one of their file.
    keys = [row.pixels or f"file-{row.sha256}" for row in rows]
    built = session.built
    return Pixels(lambda: _decode(session, rows, keys, source, what), built.mean, built.std, session.device, keys)


def _decode(session: Session, rows: Sequence[Row], keys: Sequence[str], source: Source, what: str) -> Array:
    request, reporter = session.model.request, session.reporter
    shape = (request.size, request.size, request.channels)

    def decode(part: Sequence[Row]) -> Array:
        return decode_images(part, source, request.size, request.channels, session.folder, reporter, what)

    limit = int(session.settings.training.cache_gb * 1e9)
    if not limit or len(rows) * int(np.prod(shape)) > IN_MEMORY:
        return decode(rows)  # a large set is decoded as fast as it is read from a disk
    versions = environment.versions_of(("vision-toolbox", "pillow", "opencv-python-headless"))
    sides = {"size": request.size, "channels": request.channels}
    table = Table({"of": "decoded pictures", **sides, "version": _VERSIONS, "versions": versions})

    def compute(places: npt.NDArray[np.int64]) -> Iterator[Array]:
        yield decode([rows[place] for place in places])

    try:
        cached = table.rows(keys, lambda: shape, np.uint8, compute, limit)
    except (NoRoom, EnvironmentFailure):  # no room or no permission: decode without the cache
        return decode(rows)
    return cached.take(np.arange(len(rows)))


def cache_activations(
    session: Session, data: ModelInputs, part: Forward, step: str, names: frozenset[str], what: str
) -> ModelInputs:
    """``data`` with the output of ``part``, a frozen part of the model, for its inputs, computed once.

    Returns ``data`` itself, and reports why, if its inputs change from epoch to epoch or the cache can't hold the
    output. ``step`` (:data:`TRUNK` or :data:`FEATURES`) and ``names``, the names of its parameters, identify ``part``.
    ``what``: what it computes, for messages.
    """
    settings, reporter = session.settings.training, session.reporter
    sets = [labeled.inputs for labeled in (data.train, data.held_out) if labeled]
    keys = [key for inputs in sets for key in inputs.keys or ()]
    dtype, limit = np.dtype(settings.cache_precision), int(settings.cache_gb * 1e9)
    if data.train.inputs.keys is None:
        reporter.info(f"every epoch has fresh copies: {what} are not cached")
        return data
    if not limit:
        return data
    session.built.module.eval()
    table = Table(_identity(session, step, names, dtype.name))
    part = session.cast(part)

    @cache
    def row_shape() -> tuple[int, ...]:
        """The shape of a row, from one image: it does not depend on the batch, and is needed twice."""
        return tuple(_channels_last(part(sets[0].batch(torch.zeros(1, dtype=torch.int64)))).shape[1:])

    def compute(inputs: Inputs) -> Activations:
        def compute_rows(places: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[Any]]:
            batches = [places[start : start + BATCH_SIZE] for start in range(0, len(places), BATCH_SIZE)]
            for batch in tracked(batches, reporter, f"computing {what} once", len(batches), "batches"):
                yield _compute_batch(part, inputs, batch, dtype)

        def report_wait() -> None:
            reporter.info(f"waiting for another run that computes {what}")

        rows = table.rows(inputs.keys or (), row_shape, dtype, compute_rows, limit, report_wait)
        return Activations(rows, inputs.keys or (), session.device)

    try:
        with torch.inference_mode():
            missing = table.missing(keys, dtype, row_shape)
            if missing > limit:
                raise NoRoom(missing)
            if missing:
                reporter.info(f"{what}: {_format_size(missing)} to compute once and keep (see 'toolbox cache')")
            return data.with_inputs([compute(inputs) for inputs in sets])
    except NoRoom as error:
        half = "" if dtype.itemsize == 2 else " or set training.cache_precision to float16"
        reporter.info(
            f"{what} would take {_format_size(error.needed)} of disk and are computed again in every epoch; to cache"
            f" them, raise training.cache_gb (now {settings.cache_gb:g}){half}"
        )
    except EnvironmentFailure as error:
        reporter.warn(f"{error.message}: {what} can't be cached and are computed again in every epoch")
    return data


def _compute_batch(
    part: Forward, inputs: Inputs, places: npt.NDArray[np.int64], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """The rows at ``places``; the batch is padded to :data:`BATCH_SIZE` with its last image."""
    padded = np.concatenate([places, np.repeat(places[-1:], BATCH_SIZE - len(places))])
    output = _channels_last(part(inputs.batch(torch.from_numpy(padded)))[: len(places)].float().cpu())
    if dtype.itemsize == 2:  # values beyond the range of half precision become its largest number, not infinity
        output = output.clamp(-65504, 65504)
    return output.numpy().astype(dtype)


def _channels_last(output: torch.Tensor) -> torch.Tensor:
    """Feature maps as they lie in memory, ``[B, H, W, C]``; any other output unchanged."""
    return output.permute(0, 2, 3, 1) if output.dim() == 4 else output


def _identity(session: Session, step: str, names: frozenset[str], dtype: str) -> dict[str, Any]:
    """Everything that activations depend on, except the images."""
    request, built = session.model.request, session.built
    return {
        "of": step,
        "model": str(session.experiment.spec),
        "size": request.size,
        "channels": request.channels,
        "stored": dtype,
        "weights": freeze.hash_parameters(built.module, names),
        "mean": list(built.mean),
        "std": list(built.std),
        # The head decides where the last block ends: some heads take feature maps, others pooled features.
        "head": request.head if step == FEATURES else "",
        "precision": session.precision,
        "device": _device_name(session.device),
        "threads": torch.get_num_threads(),
        "code": freeze.hash_code(session.model.model),
        "versions": environment.versions_of(("vision-toolbox", "torch", "timm", "pillow", "opencv-python-headless")),
        "version": _VERSIONS,
    }


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else device.type


def _format_size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
