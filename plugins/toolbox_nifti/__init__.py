"""First-party plugin: NIfTI volumes as two-dimensional slices."""

from collections.abc import Iterator

from toolbox.api.components import DatasetComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_datasets() -> Iterator[DatasetComponent]:
    """The ``nifti`` dataset."""
    yield DatasetComponent(
        name="nifti",
        summary="slices of NIfTI volumes (.nii, .nii.gz); the subject is the group",
        factory="toolbox_nifti.heavy.dataset:NiftiDataset",
        requires=("vision-toolbox[nifti]",),
        example="toolbox data inspect --data nifti:path=scans,plane=coronal,count=8",
    )
