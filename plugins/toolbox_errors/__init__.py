"""First-party plugin: what a model got wrong, and where the label may be wrong instead."""

from collections.abc import Iterator

from toolbox.api.components import EvaluatorComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_evaluators() -> Iterator[EvaluatorComponent]:
    """The ``errors`` evaluator."""
    yield EvaluatorComponent(
        name="errors",
        summary="the worst mistakes, and images whose label is probably wrong",
        factory="toolbox_errors.heavy.evaluator:Errors",
        example="toolbox evaluate --evaluator errors:count=24",
    )
