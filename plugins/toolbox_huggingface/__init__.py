"""First-party plugin: datasets of the Hugging Face datasets library, from a folder or from the hub."""

from collections.abc import Iterator

from toolbox.api.components import DatasetComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_datasets() -> Iterator[DatasetComponent]:
    """The ``huggingface`` dataset."""
    yield DatasetComponent(
        name="huggingface",
        summary="image datasets of the Hugging Face hub, or saved by its datasets library",
        factory="toolbox_huggingface.heavy.dataset:HuggingFaceDataset",
        requires=("vision-toolbox[huggingface]",),
        example="toolbox data inspect --data huggingface:repo=owner/name",
    )
