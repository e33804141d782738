"""First-party plugin: how far a model stands up to worse pictures."""

from collections.abc import Iterator

from toolbox.api.components import EvaluatorComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_evaluators() -> Iterator[EvaluatorComponent]:
    """The ``robustness`` evaluator."""
    yield EvaluatorComponent(
        name="robustness",
        summary="accuracy under blur, noise, brightness, rotation and JPEG, at several severities",
        factory="toolbox_robustness.heavy.evaluator:Robustness",
        example="toolbox evaluate --evaluator 'robustness:severities=[1,3]'",
    )
