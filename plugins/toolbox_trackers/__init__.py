"""Trackers: TensorBoard and MLflow."""

from collections.abc import Iterator

from toolbox.api.components import TrackerComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_trackers() -> Iterator[TrackerComponent]:
    """``tensorboard`` and ``mlflow``."""
    yield TrackerComponent(
        name="tensorboard",
        summary="TensorBoard event files in the run's folder",
        factory="toolbox_trackers.heavy.board:TensorBoard",
        requires=("vision-toolbox[tensorboard]",),
        api_version=1,
        example="toolbox train alzheimer-cnn --set 'training.trackers=[\"tensorboard\"]'",
    )
    yield TrackerComponent(
        name="mlflow",
        summary="MLflow, on a tracking server or in the workspace",
        factory="toolbox_trackers.heavy.flow:MLflow",
        requires=("vision-toolbox[mlflow]",),
        api_version=1,
        example="toolbox train alzheimer-cnn --set 'training.trackers=[\"mlflow\"]'",
    )
