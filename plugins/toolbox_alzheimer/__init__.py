"""First-party plugin: the convolutional network of study A."""

from collections.abc import Iterator

from toolbox.api.components import ModelComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_models() -> Iterator[ModelComponent]:
    """The ``alzheimer-cnn`` model."""
    yield ModelComponent(
        name="alzheimer-cnn",
        summary="study A: a small CNN for 64-pixel grey MRI slices, with its two testing models",
        factory="toolbox_alzheimer.model:AlzheimerModel",
        example="toolbox train alzheimer-cnn:variant=test-1 --epochs 20",
    )
