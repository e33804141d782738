"""First-party plugin: augmentation recipes, resampled by kornia."""

from collections.abc import Iterator

from toolbox.plugin.components import AugmenterComponent
from toolbox.plugin.hookspecs import hookimpl


@hookimpl
def toolbox_augmenters() -> Iterator[AugmenterComponent]:
    """The recipes of the two source studies."""
    yield AugmenterComponent(
        name="flip-rotate-zoom",
        summary="study B: one of horizontal flip, rotation and zoom, chosen at random for each copy",
        factory="toolbox_kornia.heavy.recipes:FlipRotateZoom",
    )
    yield AugmenterComponent(
        name="alzheimer",
        summary="study A: small rotation, shift, shear, zoom and flip together, as Keras's ImageDataGenerator",
        factory="toolbox_kornia.heavy.recipes:Alzheimer",
    )
