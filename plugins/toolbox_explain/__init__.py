"""First-party plugin: where in an image a model found what it said."""

from collections.abc import Iterator

from toolbox.api.components import EvaluatorComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_evaluators() -> Iterator[EvaluatorComponent]:
    """The ``explain`` evaluator."""
    yield EvaluatorComponent(
        name="explain",
        summary="Grad-CAM heat maps of the best, the worst and the most doubtful answers",
        factory="toolbox_explain.heavy.evaluator:Explain",
        requires=("vision-toolbox[explain]",),
        example="toolbox evaluate --evaluator explain:of=true",
    )
