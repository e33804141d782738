"""First-party plugin: augmentation recipes, computed by kornia and OpenCV."""

from collections.abc import Iterator

from toolbox.plugin.components import AugmenterComponent
from toolbox.plugin.hookspecs import hookimpl


@hookimpl
def toolbox_augmenters() -> Iterator[AugmenterComponent]:
    """The recipes of the two source studies, the usual ones beside them, and what chains them."""
    yield AugmenterComponent(
        name="flip-rotate-zoom",
        summary="study B: one of horizontal flip, rotation and zoom, chosen at random for each copy",
        factory="toolbox_kornia.heavy.studies:FlipRotateZoom",
    )
    yield AugmenterComponent(
        name="alzheimer",
        summary="study A: small rotation, shift, shear, zoom and flip together, as Keras's ImageDataGenerator",
        factory="toolbox_kornia.heavy.studies:Alzheimer",
    )
    yield AugmenterComponent(
        name="colour",
        summary="brightness, contrast, saturation, hue, blur and noise; nothing moves",
        factory="toolbox_kornia.heavy.colour:Colour",
    )
    yield AugmenterComponent(
        name="mri",
        summary="what may differ between two scans of a head: position, gamma, bias field, ghosting, Rician noise",
        factory="toolbox_kornia.heavy.mri:Mri",
    )
    yield AugmenterComponent(
        name="randaugment",
        summary="RandAugment (2020): some of 14 operations at random, all of one magnitude",
        factory="toolbox_kornia.heavy.auto:RandAugment",
    )
    yield AugmenterComponent(
        name="trivialaugment",
        summary="TrivialAugment (2021): one of 14 operations at random, of a random magnitude",
        factory="toolbox_kornia.heavy.auto:TrivialAugment",
    )
    yield AugmenterComponent(
        name="mixup",
        summary="mixes the images of a batch and their classes; while training only (--train-on online)",
        factory="toolbox_kornia.heavy.mixing:Mixup",
    )
    yield AugmenterComponent(
        name="cutmix",
        summary="puts a rectangle of one image of a batch into another; while training only (--train-on online)",
        factory="toolbox_kornia.heavy.mixing:Cutmix",
    )
    yield AugmenterComponent(
        name="compose",
        summary='several one after the other: compose:steps=["flip-rotate-zoom","colour"]',
        factory="toolbox_kornia.heavy.compose:Compose",
    )
