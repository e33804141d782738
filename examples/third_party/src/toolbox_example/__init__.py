"""A plugin of the toolbox with a component of every kind. Here they are described; nothing heavy is imported."""

from collections.abc import Iterator

from toolbox import (
    AugmenterComponent,
    DatasetComponent,
    EngineComponent,
    EvaluatorComponent,
    ModelComponent,
    TrackerComponent,
    hookimpl,
)


@hookimpl
def toolbox_datasets() -> Iterator[DatasetComponent]:
    """The ``npz`` dataset."""
    yield DatasetComponent(
        name="npz",
        summary="the images of a NumPy archive (.npz), MedMNIST's or your own",
        factory="toolbox_example.heavy.dataset:NpzDataset",
        example="toolbox data inspect --data npz:path=breastmnist.npz",
    )


@hookimpl
def toolbox_augmenters() -> Iterator[AugmenterComponent]:
    """The ``erase`` augmenter."""
    yield AugmenterComponent(
        name="erase",
        summary="random erasing: a rectangle of each copy is blanked",
        factory="toolbox_example.heavy.augmenter:Erase",
        example="toolbox augment --augmenter erase:area=0.2 --factor 5",
    )


@hookimpl
def toolbox_models() -> Iterator[ModelComponent]:
    """The ``small-cnn`` model."""
    yield ModelComponent(
        name="small-cnn",
        summary="three convolution blocks with BatchNorm, trained from scratch",
        factory="toolbox_example.heavy.model:SmallCnn",
        example="toolbox train small-cnn:width=8",
    )


@hookimpl
def toolbox_evaluators() -> Iterator[EvaluatorComponent]:
    """The ``graded`` evaluator."""
    yield EvaluatorComponent(
        name="graded",
        summary="for classes that have an order: weighted kappa and mean distance",
        factory="toolbox_example.heavy.evaluator:Graded",
        example="toolbox evaluate --evaluator graded:weights=linear",
    )


@hookimpl
def toolbox_trackers() -> Iterator[TrackerComponent]:
    """The ``markdown`` tracker."""
    yield TrackerComponent(
        name="markdown",
        summary="a Markdown table of the losses in the run's folder",
        factory="toolbox_example.heavy.tracker:MarkdownTable",
        example="toolbox train small-cnn --set training.trackers=['markdown']",
    )


@hookimpl
def toolbox_engines() -> Iterator[EngineComponent]:
    """The ``joblib`` engine."""
    yield EngineComponent(
        name="joblib",
        summary="joblib's workers, here or on a cluster",
        factory="toolbox_example.heavy.engine:Joblib",
        example="toolbox augment --set augment.engine=joblib",
    )
