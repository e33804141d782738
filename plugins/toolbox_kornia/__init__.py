"""First-party plugin: augmentation recipes, computed by kornia and OpenCV."""

from collections.abc import Iterator

from toolbox.api.components import AugmenterComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_augmenters() -> Iterator[AugmenterComponent]:
    """The recipes of the two source studies, the usual ones beside them, and what chains them."""
    yield AugmenterComponent(
        name="flip-rotate-zoom",
        summary="study B: one of horizontal flip, rotation and zoom, chosen at random for each copy",
        factory="toolbox_kornia.heavy.studies:FlipRotateZoom",
        example="toolbox augment --augmenter flip-rotate-zoom:rotation=20 --factor 50",
    )
    yield AugmenterComponent(
        name="alzheimer",
        summary="study A: small rotation, shift, shear, zoom and flip together, as Keras's ImageDataGenerator",
        factory="toolbox_kornia.heavy.studies:Alzheimer",
        example="toolbox augment --augmenter alzheimer:rotation=10,shear=5 --factor 4 --size 64",
    )
    yield AugmenterComponent(
        name="colour",
        summary="brightness, contrast, saturation, hue, blur and noise; nothing moves",
        factory="toolbox_kornia.heavy.colour:Colour",
        example="toolbox augment --augmenter colour:hue=0,blur=0 --factor 5",
    )
    yield AugmenterComponent(
        name="mri",
        summary="what may differ between two scans of a head: position, gamma, bias field, ghosting, Rician noise",
        factory="toolbox_kornia.heavy.mri:Mri",
        example="toolbox augment --augmenter mri:ghosting=0.1 --factor 5",
    )
    yield AugmenterComponent(
        name="randaugment",
        summary="RandAugment (2020): some of 14 operations at random, all of one magnitude",
        factory="toolbox_kornia.heavy.auto:RandAugment",
        example="toolbox finetune efficientnet-lite0 --train-on online --augmenter randaugment:ops=2,magnitude=9",
    )
    yield AugmenterComponent(
        name="trivialaugment",
        summary="TrivialAugment (2021): one of 14 operations at random, of a random magnitude",
        factory="toolbox_kornia.heavy.auto:TrivialAugment",
        example="toolbox finetune efficientnet-lite0 --train-on online --augmenter trivialaugment",
    )
    yield AugmenterComponent(
        name="mixup",
        summary="mixes the images of a batch and their classes; while training only (--train-on online)",
        factory="toolbox_kornia.heavy.mixing:Mixup",
        example="toolbox train alzheimer-cnn --train-on online --augmenter mixup:alpha=0.4",
    )
    yield AugmenterComponent(
        name="cutmix",
        summary="puts a rectangle of one image of a batch into another; while training only (--train-on online)",
        factory="toolbox_kornia.heavy.mixing:Cutmix",
        example="toolbox train alzheimer-cnn --train-on online --augmenter cutmix",
    )
    yield AugmenterComponent(
        name="compose",
        summary='several one after the other: compose:steps=["flip-rotate-zoom","colour"]',
        factory="toolbox_kornia.heavy.compose:Compose",
        example='toolbox augment --augmenter \'compose:steps=["flip-rotate-zoom","colour:blur=0"]\' --factor 5',
    )
