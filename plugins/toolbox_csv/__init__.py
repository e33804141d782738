"""First-party plugin: a table of image files in any CSV or TSV shape."""

from collections.abc import Iterator

from toolbox.api.components import DatasetComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_datasets() -> Iterator[DatasetComponent]:
    """The ``csv`` dataset."""
    yield DatasetComponent(
        name="csv",
        summary="image files listed in a table with paths and labels, and groups and splits if it has them",
        factory="toolbox_csv.dataset:CsvDataset",
        example="toolbox data inspect --data csv:path=table.csv,path_column=file,label_column=diagnosis",
    )
