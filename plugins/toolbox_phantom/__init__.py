"""First-party plugin: the embedded dataset, synthetic brain-like slices of made-up AD and MCI subjects."""

from collections.abc import Iterator

from toolbox.api.components import DatasetComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_datasets() -> Iterator[DatasetComponent]:
    """The ``phantom`` dataset."""
    yield DatasetComponent(
        name="phantom",
        summary="embedded synthetic axial MRI-like slices of AD and MCI subjects; no download",
        factory="toolbox_phantom.dataset:PhantomDataset",
        example="toolbox train alzheimer-cnn --data phantom:subjects=40,size=64",
    )
