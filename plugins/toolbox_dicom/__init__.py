"""First-party plugin: DICOM series as two-dimensional slices, patients named by a keyed hash alone."""

from collections.abc import Iterator

from toolbox.api.components import DatasetComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_datasets() -> Iterator[DatasetComponent]:
    """The ``dicom`` dataset."""
    yield DatasetComponent(
        name="dicom",
        summary="slices of DICOM series; the patient is the group, named by a keyed hash alone",
        factory="toolbox_dicom.heavy.dataset:DicomDataset",
        requires=("vision-toolbox[dicom]",),
        example="toolbox data inspect --data dicom:path=scans,count=8",
    )
