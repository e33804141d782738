"""First-party plugin: what classification is judged by."""

from collections.abc import Iterator

from toolbox.api.components import EvaluatorComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_evaluators() -> Iterator[EvaluatorComponent]:
    """The ``classification`` evaluator."""
    yield EvaluatorComponent(
        name="classification",
        summary="study A's figures, calibration, curves, by class and by group, each with a 95 % interval",
        factory="toolbox_classification.heavy.evaluator:Classification",
        example="toolbox evaluate --evaluator classification:positive=AD,prevalence=0.1",
    )
