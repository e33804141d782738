"""First-party plugin: class folders of image files."""

from collections.abc import Iterator

from toolbox.api.components import DatasetComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_datasets() -> Iterator[DatasetComponent]:
    """The ``folder`` dataset."""
    yield DatasetComponent(
        name="folder",
        summary="class folders of image files, with or without train/val/test folders above them",
        factory="toolbox_folder.dataset:FolderDataset",
        example="toolbox data inspect --data folder:path=cats_dogs,follow_links=true",
    )
