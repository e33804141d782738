"""First-party plugin: whether a model is as good for everybody."""

from collections.abc import Iterator

from toolbox.api.components import EvaluatorComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_evaluators() -> Iterator[EvaluatorComponent]:
    """The ``subgroups`` evaluator."""
    yield EvaluatorComponent(
        name="subgroups",
        summary="the figures by a manifest column, and each subgroup against the rest",
        factory="toolbox_subgroups.heavy.evaluator:Subgroups",
        example="toolbox evaluate --evaluator subgroups:column=scanner",
    )
