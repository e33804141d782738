"""What can't change is computed once: decoded pictures, and what a frozen part of a model makes of them.

Both are kept in the user's cache (:mod:`toolbox.cache`) by content: an image's key is the hash of its pixels, and a
table is named after all else that its rows depend on. So later runs, other seeds and other folds find them there.

An image's activations must not depend on the company it was computed in, or a run would end otherwise with a warm
cache than with a cold one. On a CPU the last bits do depend on a batch's size, as libraries choose their kernels by
it, and not on its other images; so batches have :data:`STEADY` images here, always.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from toolbox import environment
from toolbox.api.errors import EnvironmentFailure
from toolbox.api.progress import tracked
from toolbox.cache.table import NoRoom, Table
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.models import freeze
from toolbox.models.precision import Forward
from toolbox.training import inputs
from toolbox.training.inputs import Activations, Array, Pixels

if TYPE_CHECKING:
    from toolbox.training.session import Session

TRUNK, FEATURES = "activations of the trunk", "features before the head"
"""The two steps that are computed once."""

STEADY = 32
"""Images in every batch that activations are computed in; the last one is filled up."""

VERSION = 1
"""Changes with whatever changes a row, so that nothing stale is read."""

Frozen = Pixels | Activations


def key_of(row: Row) -> str:
    """What a picture is known by: the hash of its pixels, of a copy the hash of its file."""
    return row.pixels or f"file-{row.sha256}"


def pixels(session: Session, rows: Sequence[Row], source: Source, what: str) -> Pixels:
    """The pictures of ``rows`` as inputs, decoded when the first of them is needed, if they are not kept already."""
    keys = [key_of(row) for row in rows]
    built = session.built
    return Pixels(lambda: _decoded(session, rows, keys, source, what), built.mean, built.std, session.device, keys)


def _decoded(session: Session, rows: Sequence[Row], keys: Sequence[str], source: Source, what: str) -> Array:
    request, reporter = session.wanted.request, session.reporter
    form = (request.size, request.size, request.channels)

    def decode(some: Sequence[Row]) -> Array:
        return inputs.decode_images(some, source, request.size, request.channels, session.folder, reporter, what)

    limit = int(session.settings.training.cache_gb * 1e9)
    if not limit or len(rows) * int(np.prod(form)) > inputs.IN_MEMORY:
        return decode(rows)  # a large set is decoded as fast as it is read from a disk
    versions = environment.versions_of(("vision-toolbox", "pillow"))
    sides = {"size": request.size, "channels": request.channels}
    table = Table({"of": "decoded pictures", **sides, "version": VERSION, "versions": versions})

    def make(places: npt.NDArray[np.int64]) -> Iterator[Array]:
        yield decode([rows[place] for place in places])

    try:
        found = table.rows(keys, lambda: form, np.uint8, make, limit)
    except (NoRoom, EnvironmentFailure):  # no room, no permission: what can't be kept is decoded again
        return decode(rows)
    return found.take(np.arange(len(rows)))


def activations(
    session: Session, part: Forward, step: str, names: frozenset[str], given: Sequence[Frozen], what: str
) -> list[Activations] | None:
    """What ``part`` (frozen, in evaluation mode) gives for each of ``given``; ``None`` if that can't be kept.

    ``step`` and ``names`` say what ``part`` is: a word, and the parameters that it is made of.
    """
    chosen = session.settings.training
    stored, limit, reporter = np.dtype(chosen.cache_precision), int(chosen.cache_gb * 1e9), session.reporter
    if not limit:
        return None
    table = Table(_about(session, step, names, stored.name))
    part = session.cast(part)

    @cache
    def form() -> tuple[int, ...]:
        """A row's shape, from one image: it does not depend on the batch, and is asked for twice."""
        output = part(given[0].batch(torch.zeros(1, dtype=torch.int64)))
        return tuple(_as_kept(output).shape[1:])

    def computed(one: Frozen) -> Activations:
        def make(places: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[Any]]:
            batches = [places[start : start + STEADY] for start in range(0, len(places), STEADY)]
            for some in tracked(batches, reporter, f"computing {what} once", len(batches), "batches"):
                yield _rows(part, one, some, stored)

        waiting = lambda: reporter.info(f"waiting for another run that computes {what}")  # noqa: E731
        rows = table.rows(one.keys, form, stored, make, limit, waiting)
        return Activations(rows, one.keys, session.device)

    try:
        with torch.inference_mode():
            needed = table.missing([key for one in given for key in one.keys], stored, form)
            if needed > limit:
                raise NoRoom(needed)
            if needed:
                reporter.info(f"{what}: {_size(needed)} to compute once and keep (see 'toolbox cache')")
            return [computed(one) for one in given]
    except NoRoom as error:
        half = "" if stored.itemsize == 2 else " or 'float16' for training.cache_precision"
        reporter.info(
            f"{what} would take {_size(error.needed)} of disk: computed anew in every epoch (a higher"
            f" training.cache_gb, now {chosen.cache_gb:g},{half} may help)"
        )
    except EnvironmentFailure as error:
        reporter.warn(f"{error.message}: {what} can't be kept and are computed anew in every epoch")
    return None


def _rows(part: Forward, one: Frozen, places: npt.NDArray[np.int64], stored: np.dtype[Any]) -> npt.NDArray[Any]:
    """The rows of a batch at ``places``; the batch is filled up to :data:`STEADY` with its last image."""
    filled = np.concatenate([places, np.repeat(places[-1:], STEADY - len(places))])
    output = _as_kept(part(one.batch(torch.from_numpy(filled)))[: len(places)].float().cpu())
    if stored.itemsize == 2:  # what is too large for half precision becomes its largest number, not infinity
        output = output.clamp(-65504, 65504)
    return output.numpy().astype(stored)


def _as_kept(output: torch.Tensor) -> torch.Tensor:
    """Maps as channels-last: ``[B, H, W, C]``, which is how they lie in memory; anything else as it is."""
    return output.permute(0, 2, 3, 1) if output.dim() == 4 else output


def _about(session: Session, step: str, names: frozenset[str], stored: str) -> dict[str, Any]:
    """All that the activations depend on, but the images."""
    request, built, experiment = session.wanted.request, session.built, session.experiment
    return {
        "of": step,
        "model": str(experiment.spec),
        "size": request.size,
        "channels": request.channels,
        "stored": stored,
        "weights": freeze.hash_of(built.module, names),
        "mean": list(built.mean),
        "std": list(built.std),
        # Where the last block ends is the head's affair: some heads take maps, others what was pooled.
        "head": request.head if step == FEATURES else "",
        "precision": session.precision,
        "device": _device(session.device),
        "threads": torch.get_num_threads(),
        "code": freeze.code_of(session.wanted.model),
        "versions": environment.versions_of(("vision-toolbox", "torch", "timm", "pillow")),
        "version": VERSION,
    }


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else device.type


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
