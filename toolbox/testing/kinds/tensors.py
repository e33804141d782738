"""What the core relies on in an augmenter's path for tensors: the same copies, on the tensor's device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toolbox.api.augmenter import Augmenter, ImageInfo
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.kinds.augmenters import SHAPES, SIZES, sources
from toolbox.testing.pictures import Images, drawn, seeded
from toolbox.testing.subject import Subject

if TYPE_CHECKING:
    import torch

check = Checks(Augmenter)


@check
def tensors_have_the_size_asked_for(subject: Subject) -> Problems:
    """``apply_tensor`` gives uint8 ``[N, C, size, size]`` on the device of its input.

    While training (``--train-on online``), copies are made there, of pixels whose channels lie last in memory.
    """
    import torch

    for shape in SHAPES:
        for size in SIZES:
            images, params = sources(subject, *shape)
            given = as_tensor(images)
            copies = subject.made.apply_tensor(given, params, size)
            wanted = (len(images), shape[2], size, size)
            if not isinstance(copies, torch.Tensor):
                yield f"apply_tensor gives a {type(copies).__name__}, not a tensor"
            elif copies.shape != wanted:
                yield f"apply_tensor gives {tuple(copies.shape)} for size {size}, not {wanted}"
            elif copies.dtype != torch.uint8 or copies.device != given.device:
                yield f"apply_tensor gives {copies.dtype} on {copies.device}, not uint8 on {given.device}"


@check
def tensors_and_arrays_agree(subject: Subject) -> Problems:
    """``apply`` and ``apply_tensor`` differ by no more than ``tolerance`` grey levels on average.

    A training on copies in a folder and one that makes them on a device are to be the same experiment.
    """
    for shape in SHAPES:
        images, params = sources(subject, *shape)
        arrays = subject.made.apply(images, params, 40).astype(float)
        tensors = as_array(subject.made.apply_tensor(as_tensor(images), params, 40)).astype(float)
        off = np.abs(arrays - tensors).mean(axis=(1, 2, 3))
        worst = int(off.argmax())
        if off[worst] > subject.made.tolerance:
            yield (
                f"with {shape[2]} channels, apply and apply_tensor differ by {off[worst]:.2f} grey levels on average"
                f" (tolerance: {subject.made.tolerance:g}) for {params[worst]}"
            )


@check
def tensors_are_left_alone(subject: Subject) -> Problems:
    """``apply_tensor`` does not change its input, which is the training set itself."""
    import torch

    images, params = sources(subject, *SHAPES[0])
    given = as_tensor(images)
    before = given.clone()
    copies = subject.made.apply_tensor(given, params, 40)
    if not torch.equal(given, before):
        yield "apply_tensor writes into the tensor that it is given"
    elif copies.untyped_storage().data_ptr() == given.untyped_storage().data_ptr():
        yield "the copies share memory with the tensor that they were made of"


@check
def a_tensor_does_not_hang_on_its_batch(subject: Subject) -> Problems:
    """A batch of one gives what the same image gives in a batch of many, within ``tolerance``, and so again."""
    images, params = sources(subject, *SHAPES[0])
    given = as_tensor(images)
    with seeded(1):
        together = as_array(subject.made.apply_tensor(given, params, 32)).astype(float)
    with seeded(2):
        alone = [subject.made.apply_tensor(given[i : i + 1], params[i : i + 1], 32) for i in range(len(images))]
    off = np.abs(together - np.concatenate([as_array(copy) for copy in alone])).mean(axis=(1, 2, 3)).max()
    if off > subject.made.tolerance:
        yield f"images one by one give copies that differ by {off:.2f} grey levels from those made at once"


@check
def tensors_stay_at_zero_strength(subject: Subject) -> Problems:
    """With the parameters that ``neutral`` names, ``apply_tensor`` gives the source, too."""
    if not subject.made.neutral:
        return
    still: Augmenter = subject.again(**subject.made.neutral)
    images, _ = sources(subject, 36, 36, 3)
    params = [drawn(still, number, ImageInfo(36, 36, 3)) for number in range(len(images))]
    off = np.abs(as_array(still.apply_tensor(as_tensor(images), params, 36)).astype(int) - images).max()
    if off > 1:
        yield f"with {dict(subject.made.neutral)} a copy differs from its source by up to {off} grey levels"


def as_tensor(images: Images) -> torch.Tensor:
    """As the core hands them over: uint8 ``[N, C, H, W]`` on the CPU, channels last in memory."""
    import torch

    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2)


def as_array(images: torch.Tensor) -> Images:
    """uint8 ``[N, H, W, C]``."""
    array: Images = images.permute(0, 2, 3, 1).cpu().numpy()
    return array
