"""What the core relies on in an augmenter that makes copies, for pictures in memory."""

from __future__ import annotations

import inspect
import json
import math
import pickle
from typing import Any

import numpy as np

from toolbox.api.augmenter import Augmenter, ImageInfo, Params
from toolbox.api.warp import warp
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.pictures import Images, drawn, pictures, seeded, watched
from toolbox.testing.subject import Subject

COPIES = 12
"""Copies that are made for a check."""

SHAPES = ((40, 52, 3), (24, 24, 3), (40, 52, 1))
"""Heights, widths and channels of the sources."""

SIZES = (32, 40)
"""Sides of the copies: smaller than all sources, and larger than one."""

check = Checks(Augmenter)


@check
def draws_are_json(subject: Subject) -> Problems:
    """``draw`` gives a dict of JSON scalars, the same after they were written and read again.

    A line of the lineage holds them, and a copy can be made again from that line alone. NumPy's numbers are none:
    write ``float(…)``, ``int(…)``, ``bool(…)``. A field of noise is drawn as its seed.
    """
    for number, shape in enumerate(SHAPES):
        yield from problems_of(drawn(subject.made, number, ImageInfo(*shape)))


@check
def draws_hang_on_the_key_alone(subject: Subject) -> Problems:
    """The same key and source give the same parameters: whatever was drawn before, in whichever process.

    Copies are made in several processes, in any order, and again after an interruption. Draw from ``rng`` only:
    generators that a process shares (``random``, ``np.random``, torch's) and what the augmenter remembers of its
    last call have no part in it. ``hash`` of a text differs from process to process.
    """
    yield from key_alone(subject)


@check
def draws_differ(subject: Subject) -> Problems:
    """Different keys give different parameters, or none: fifty equal copies of a picture are one too many."""
    yield from not_all_alike(subject)


@check
def gives_the_size_asked_for(subject: Subject) -> Problems:
    """``apply`` gives uint8 ``[N, size, size, C]``, for one channel and for three, smaller and larger sources.

    The whole source is mapped onto the square; what has another shape or type can't be written or batched.
    """
    for shape in SHAPES:
        for size in SIZES:
            images, params = sources(subject, *shape)
            copies = subject.made.apply(images, params, size)
            wanted = (len(images), size, size, shape[2])
            if not isinstance(copies, np.ndarray):
                yield f"apply gives a {type(copies).__name__}, not an array"
            elif copies.shape != wanted:
                yield f"apply gives {copies.shape} for {images.shape} and size {size}, not {wanted}"
            elif copies.dtype != np.uint8:
                yield f"apply gives {copies.dtype}, not uint8"


@check
def keeps_the_range(subject: Subject) -> Problems:
    """Values are grey levels from 0 to 255: not fractions of 1, and not turned over at the ends.

    10 more than a uint8 of 250 is 4: noise that is added so gives a white picture black dots. (Pictures turned over as
    a whole, or in patches, are let pass: they may be meant.)
    """
    images, params = sources(subject, *SHAPES[0])
    if _array(subject, images, params, 40).max() <= 1:
        yield "all values of the copies are 0 or 1: grey levels go from 0 to 255"
    for level, other in ((250, "black"), (5, "white")):
        flat = np.full_like(images, level)
        # Taking something out (a rectangle, a border) makes patches of black or white; turning over makes dots.
        copies = _array(subject, flat, params, 40)[:, 10:30, 10:30].astype(int)
        far = np.abs(copies - level) > 200
        alone = far & (_neighbours(far) < 3)
        if alone.mean() > 0.01:
            yield f"pictures of grey level {level} get single {other} pixels: are values turned over at 0 and 255?"


@check
def leaves_its_input_alone(subject: Subject) -> Problems:
    """``apply`` changes neither images nor parameters, takes a read-only array, and gives none of its memory back.

    One source is handed over for many copies, without being copied itself.
    """
    images, params = sources(subject, *SHAPES[0])
    before, said = images.copy(), json.dumps(params)
    copies = subject.made.apply(images, params, 40)
    if not np.array_equal(images, before):
        yield "apply writes into the images that it is given"
        return
    if json.dumps(params) != said:
        yield "apply changes the parameters that it is given"
    if np.shares_memory(copies, images):
        yield "the copies share memory with the images that they were made of"
    shared = np.broadcast_to(images[0], images.shape)  # read only, and one picture for all
    if not np.array_equal(subject.made.apply(shared, params, 40), subject.made.apply(shared.copy(), params, 40)):
        yield "one source broadcast to many copies gives others than as many sources"


@check
def a_copy_hangs_on_its_parameters_alone(subject: Subject) -> Problems:
    """The same image and parameters give the same copy to the bit, also when the parameters were read from a file.

    ``apply`` draws nothing itself: a copy could not be made again from its lineage.
    """
    images, params = sources(subject, *SHAPES[0])
    found: list[str] = []
    with seeded(1), watched(found):
        first = subject.made.apply(images, params, 32)
    with seeded(2):
        again = subject.again().apply(images, json.loads(json.dumps(params)), 32)
    if not np.array_equal(first, again):
        yield "the same parameters give another copy the second time"
    if found:
        yield f"apply draws from {' and '.join(found)} shared generator"


@check
def a_copy_does_not_hang_on_its_batch(subject: Subject) -> Problems:
    """A batch of one gives what the same image gives in a batch of many, and the order does not matter.

    How many copies are made at a time is a matter of speed, and must change no byte of a set.
    """
    for shape in SHAPES:
        images, params = sources(subject, *shape)
        together = subject.made.apply(images, params, 32)
        alone = [subject.made.apply(images[i : i + 1], params[i : i + 1], 32)[0] for i in range(len(images))]
        if not np.array_equal(together, np.stack(alone)):
            yield f"with {shape[2]} channels, images one by one give other copies than all at once"
        elif not np.array_equal(subject.made.apply(images[::-1], params[::-1], 32)[::-1], together):
            yield f"with {shape[2]} channels, another order of the batch gives other copies"


@check
def does_nothing_at_zero_strength(subject: Subject) -> Problems:
    """With the parameters that ``neutral`` names (or ``strength=0``, where there is one), a copy is its source.

    So that what an experiment without augmentation differs in is the augmentation.
    """
    neutral = dict(subject.made.neutral)
    if not neutral and "strength" in inspect.signature(subject.factory).parameters:
        neutral = {"strength": 0}
    if not neutral:
        return
    still: Augmenter = subject.again(**neutral)
    for channels in (1, 3):
        images = pictures(COPIES, 36, 36, channels)
        params = [drawn(still, number, ImageInfo(36, 36, channels)) for number in range(COPIES)]
        off = np.abs(still.apply(images, params, 36).astype(int) - images).max()
        if off > 1:
            yield f"with {neutral} a copy differs from its source by up to {off} grey levels"


@check
def affine_maps_are_what_they_say(subject: Subject) -> Problems:
    """Where ``affine`` says that a copy is its source moved and nothing else, ``apply`` gives the same copy.

    Such copies are written from the planes that JPEG holds, without ``apply``.
    """
    images, params = sources(subject, *SHAPES[0])
    for number, each in enumerate(params):
        affine = subject.made.affine(each)
        if affine is None:
            continue
        one = images[number : number + 1]
        off = float(np.abs(warp(one, [affine], 40).astype(int) - subject.made.apply(one, [each], 40)).mean())
        if off > subject.made.tolerance:
            yield f"affine and apply differ by {off:.1f} grey levels on average for {each}"


@check
def travels(subject: Subject) -> Problems:
    """It can be pickled, so that several processes can make copies; one that can't is worked with by one alone."""
    try:
        pickle.loads(pickle.dumps(subject.made))
    except Exception as error:
        yield f"it can't be pickled: {error}"


def sources(subject: Subject, height: int, width: int, channels: int) -> tuple[Images, list[Params]]:
    """Pictures of one shape, and what is drawn for them."""
    info = ImageInfo(height, width, channels)
    params = [drawn(subject.made, number, info) for number in range(COPIES)]
    return pictures(COPIES, height, width, channels), params


def problems_of(params: Any) -> Problems:
    """What is not JSON in drawn parameters."""
    if not isinstance(params, dict):
        yield f"it draws a {type(params).__name__}, not a dict"
        return
    for name, value in params.items():
        if type(name) is not str:
            yield f"a parameter's name is a {type(name).__name__}, not a str"
        elif type(value) not in (bool, int, float, str):
            yield f"the parameter {name!r} is a {type(value).__module__}.{type(value).__name__}, no JSON scalar"
        elif type(value) is float and not math.isfinite(value):
            yield f"the parameter {name!r} is {value}, which JSON has no word for"


def key_alone(subject: Subject) -> Problems:
    """What is drawn otherwise than by the key: shared by the two protocols of augmenters."""
    numbers = range(COPIES)
    found: list[str] = []
    with seeded(1), watched(found):
        first = [drawn(subject.made, number) for number in numbers]
    with seeded(2):
        backwards = [drawn(subject.made, number) for number in reversed(numbers)][::-1]
        anew = subject.again()
        fresh = [drawn(anew, number) for number in numbers]
    if found:
        yield f"it draws from {' and '.join(found)} shared generator"
    if backwards != first:
        yield "the same keys in another order give other parameters"
    elif fresh != first:
        yield "the same keys give an augmenter that was made anew other parameters"
    else:
        from toolbox.testing.elsewhere import fingerprint

        if subject.elsewhere("answer")["answer"] != fingerprint(subject.made):
            yield "the same keys give other parameters in another process"


def not_all_alike(subject: Subject) -> Problems:
    """Whether parameters hang on the key at all."""
    found = [drawn(subject.made, number) for number in range(64)]
    if found[0] and all(params == found[0] for params in found):
        yield f"64 keys give the same parameters: {found[0]}"


def _array(subject: Subject, images: Images, params: list[Params], size: int) -> Images:
    return np.asarray(subject.made.apply(images, params, size))


def _neighbours(mask: Any) -> Any:
    """How many of the eight pixels around are set too: int ``[N, H, W, C]``."""
    padded = np.pad(mask.astype(int), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = mask.shape[1:3]
    around = sum(padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3))
    return around - mask
