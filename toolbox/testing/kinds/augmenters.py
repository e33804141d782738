"""Augmenters that make copies: parameters that depend on a key, and copies that depend on their parameters."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from toolbox.api.augmenter import Augmenter, ImageInfo, MixingAugmenter, Params
from toolbox.api.warp import warp
from toolbox.testing.check import Checks, Problems
from toolbox.testing.inputs import Images, check_reproducible, draw, photos
from toolbox.testing.kinds.common import can_be_pickled
from toolbox.testing.second_process import fingerprint, fingerprint_elsewhere
from toolbox.testing.subject import Subject

if TYPE_CHECKING:
    import torch

COPIES = 12
"""Copies that a check makes."""

SHAPES = ((40, 52, 3), (24, 24, 3), (40, 52, 1))
"""Heights, widths and channels of the sources."""

SIZES = (32, 40)
"""Sides of the copies: smaller than all sources, and larger than one."""

draw_check = Checks((Augmenter, MixingAugmenter))
check = Checks(Augmenter)


@draw_check
def draws_are_json(subject: Subject) -> Problems:
    """``draw`` (of a mixing augmenter, ``draw_batch``) returns a dict of JSON scalars.

    A line of the lineage holds them, and a copy can be made again from that line alone. NumPy's numbers are no JSON:
    write ``float(…)``, ``int(…)``, ``bool(…)``. A field of noise is drawn as its seed.
    """
    for number, shape in enumerate(SHAPES):
        params = draw(subject.component, number, ImageInfo(*shape))
        if not isinstance(params, dict):
            yield f"it draws a {type(params).__name__}, not a dict"
            return
        for name, value in params.items():
            if type(name) is not str:
                yield f"a parameter's name is a {type(name).__name__}, not a str"
            elif type(value) not in (bool, int, float, str):
                yield f"the parameter {name!r} is a {type(value).__module__}.{type(value).__name__}, no JSON scalar"
            elif type(value) is float and not math.isfinite(value):
                yield f"the parameter {name!r} is {value}, which JSON can't hold"


@draw_check
def draws_depend_on_the_key_alone(subject: Subject) -> Problems:
    """The same key and source give the same parameters, whatever was drawn before, in any process.

    Copies are made in several processes, in any order, and again after an interruption. Draw from ``rng`` only: not
    from global generators (``random``, ``np.random``, torch's), nor from what the augmenter remembers of its last
    call, nor from ``hash`` of a string, which differs between processes.
    """
    numbers = range(COPIES)
    yield from check_reproducible(subject, "draw", lambda augmenter: [draw(augmenter, number) for number in numbers])
    forwards = [draw(subject.component, number) for number in numbers]
    if [draw(subject.component, number) for number in reversed(numbers)] != forwards[::-1]:
        yield "the same keys in another order give other parameters"
    elif fingerprint_elsewhere(subject) != fingerprint(subject.component):
        yield "the same keys give other parameters in another process"


@draw_check
def draws_vary(subject: Subject) -> Problems:
    """Different keys give different parameters, or none: fifty equal copies of an image are one too many."""
    params = [draw(subject.component, number) for number in range(64)]
    if params[0] and all(each == params[0] for each in params):
        yield f"64 keys give the same parameters: {params[0]}"


@check
def copies_have_the_size(subject: Subject) -> Problems:
    """Copies have the requested size, for one channel and for three, of sources that are smaller and larger.

    ``apply`` returns uint8 ``[N, size, size, C]``; ``apply_tensor`` uint8 ``[N, C, size, size]`` on the device of its
    input, whose channels lie last in memory. The whole source is mapped onto the square.
    """
    for shape, size in product(SHAPES, SIZES):
        images, params = _sources(subject, shape)
        square = (len(images), size, size, shape[2])
        for method, batch in _batches(images):
            copies = getattr(subject.component, method)(batch, params, size)
            expected = square if method == "apply" else tuple(np.array(square)[[0, 3, 1, 2]])
            if type(copies) is not type(batch):
                yield f"{method} returns a {type(copies).__name__}, not a {type(batch).__name__}"
            elif tuple(copies.shape) != expected:
                yield f"{method} returns the shape {tuple(copies.shape)} for size {size}, not {expected}"
            elif copies.dtype != batch.dtype or getattr(copies, "device", "") != getattr(batch, "device", ""):
                yield f"{method} returns {copies.dtype} on {getattr(copies, 'device', 'cpu')}, unlike its input"


@check
def values_keep_their_range(subject: Subject) -> Problems:
    """Values are grey levels from 0 to 255: not fractions of 1, and without overflow.

    10 more than a uint8 of 250 is 4: noise added like that gives a white image black dots. (Images inverted as a
    whole, or in patches, pass: that may be intended.)
    """
    images, params = _sources(subject, SHAPES[0])
    if np.max(subject.component.apply(images, params, 40)) <= 1:
        yield "all values of the copies are 0 or 1: grey levels go from 0 to 255"
    for level, other in ((250, "black"), (5, "white")):
        copies = np.asarray(subject.component.apply(np.full_like(images, level), params, 40))
        # Erasing (a rectangle, a border) makes patches of black or white; overflow makes single dots.
        far = np.abs(copies[:, 10:30, 10:30].astype(int) - level) > 200
        if (far & (_neighbours(far) < 3)).mean() > 0.01:
            yield f"images of grey level {level} get single {other} pixels: do values overflow at 0 and 255?"


@check
def input_is_unchanged(subject: Subject) -> Problems:
    """Neither images nor parameters are changed, read-only arrays are accepted, and copies have memory of their own.

    One source is passed for many copies without being copied itself; a tensor is the training set itself.
    """
    images, params = _sources(subject, SHAPES[0])
    params_before = copy.deepcopy(params)
    for method, batch in _batches(images):
        before = np.array(batch)
        copies = getattr(subject.component, method)(batch, params, 40)
        if not np.array_equal(np.asarray(batch), before):
            yield f"{method} writes into its images"
            return
        if np.shares_memory(np.asarray(copies), np.asarray(batch)):
            yield f"the copies of {method} share memory with its images"
        if params != params_before:
            yield f"{method} changes its parameters"
    shared = np.broadcast_to(images[0], images.shape)  # read only, and one image for all
    one, other = (subject.component.apply(each, params, 40) for each in (shared, shared.copy()))
    if not np.array_equal(one, other):
        yield "one source broadcast to many copies gives other copies than as many sources"


@check
def copies_are_reproducible(subject: Subject) -> Problems:
    """The same image and parameters give the same copy to the bit: ``apply`` draws nothing itself.

    Otherwise a copy could not be made again from its lineage.
    """
    images, params = _sources(subject, SHAPES[0])
    yield from check_reproducible(
        subject, "apply", lambda augmenter: augmenter.apply(images, params, 32), np.array_equal
    )


@check
def copies_are_independent_of_the_batch(subject: Subject) -> Problems:
    """An image has the same copy alone, in a batch of many, and in a batch in another order.

    The size of the batches is a matter of speed, and must change no byte. Tensors may differ by ``tolerance``.
    """
    for shape, (method, tolerance) in product(SHAPES, (("apply", 0.0), ("apply_tensor", subject.component.tolerance))):
        images, params = _sources(subject, shape)
        batch = _copies(subject.component, method, images, params, 32)
        alone = [_copies(subject.component, method, images[i : i + 1], params[i : i + 1], 32)[0] for i in range(COPIES)]
        backwards = _copies(subject.component, method, images[::-1], params[::-1], 32)[::-1]
        for what, other in (("one by one", np.stack(alone)), ("in another order", backwards)):
            difference = _differences(batch, other).max()
            if difference > tolerance:
                yield f"{method}: images {what} ({shape[2]} channels) give copies that differ by {difference:.2g}"


@check
def arrays_and_tensors_agree(subject: Subject) -> Problems:
    """``apply`` and ``apply_tensor`` differ by no more than ``tolerance`` grey levels on average.

    Training on copies in a folder and on copies made on a device is meant to be the same experiment.
    """
    for shape in SHAPES:
        images, params = _sources(subject, shape)
        array, tensor = (_copies(subject.component, method, images, params, 40) for method in ("apply", "apply_tensor"))
        differences = _differences(array, tensor)
        worst = int(differences.argmax())
        if differences[worst] > subject.component.tolerance:
            yield (
                f"with {shape[2]} channels, apply and apply_tensor differ by {differences[worst]:.2f} grey levels on"
                f" average (tolerance: {subject.component.tolerance:g}) for {params[worst]}"
            )


@check
def neutral_changes_nothing(subject: Subject) -> Problems:
    """With the parameters that ``neutral`` names (or ``strength=0``, if there is one), a copy equals its source.

    So that augmentation is all that differs from an experiment without it.
    """
    neutral = dict(subject.component.neutral)
    if not neutral and "strength" in inspect.signature(subject.factory).parameters:
        neutral = {"strength": 0}
    if not neutral:
        return
    augmenter: Augmenter = subject.rebuild(**neutral)
    for method, channels in product(("apply", "apply_tensor"), (1, 3)):
        images = photos(COPIES, 36, 36, channels)
        params = [draw(augmenter, number, ImageInfo(36, 36, channels)) for number in range(COPIES)]
        difference = np.abs(_copies(augmenter, method, images, params, 36).astype(int) - images).max()
        if difference > 1:
            yield f"with {neutral}, a copy by {method} differs from its source by up to {difference} grey levels"


@check
def affine_equals_apply(subject: Subject) -> Problems:
    """Where ``affine`` describes a copy, ``apply`` makes the same copy.

    Such copies are written without ``apply``, from the planes that JPEG holds.
    """
    images, params = _sources(subject, SHAPES[0])
    for number, each in enumerate(params):
        affine = subject.component.affine(each)
        if affine is None:
            continue
        one = images[number : number + 1]
        difference = float(_differences(warp(one, [affine], 40), subject.component.apply(one, [each], 40))[0])
        if difference > subject.component.tolerance:
            yield f"affine and apply differ by {difference:.1f} grey levels on average for {each}"


check(can_be_pickled)
CHECKS = [*draw_check, *check]


def _sources(subject: Subject, shape: tuple[int, int, int]) -> tuple[Images, list[Params]]:
    """Images of one shape, and what is drawn for them."""
    params = [draw(subject.component, number, ImageInfo(*shape)) for number in range(COPIES)]
    images: Images = subject.cached(("photos", shape), lambda: photos(COPIES, *shape)).copy()
    return images, params


def _batches(images: Images) -> Iterator[tuple[str, Any]]:
    """Each method with its kind of batch."""
    yield "apply", images
    yield "apply_tensor", _as_tensor(images)


def _as_tensor(images: Images) -> torch.Tensor:
    """As training passes them: uint8 ``[N, C, H, W]`` on the CPU, channels last in memory."""
    import torch

    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2)


def _copies(augmenter: Augmenter, method: str, images: Images, params: list[Params], size: int) -> Images:
    """Copies by either method: uint8 ``[N, size, size, C]``."""
    if method == "apply":
        return augmenter.apply(images, params, size)
    copies: Images = augmenter.apply_tensor(_as_tensor(images), params, size).permute(0, 2, 3, 1).numpy()
    return copies


def _differences(one: Images, other: Images) -> Any:
    """Mean absolute difference of each image in grey levels: float ``[N]``."""
    return np.abs(one.astype(float) - other).mean(axis=(1, 2, 3))


def _neighbours(mask: Any) -> Any:
    """How many of the eight pixels around are set too: int ``[N, H, W, C]``."""
    padded = np.pad(mask.astype(int), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = mask.shape[1:3]
    around = sum(padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3))
    return around - mask
