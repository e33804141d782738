"""First-party plugin: what classification is judged by."""

from collections.abc import Iterator

from toolbox.plugin.components import EvaluatorComponent
from toolbox.plugin.hookspecs import hookimpl


@hookimpl
def toolbox_evaluators() -> Iterator[EvaluatorComponent]:
    """The ``classification`` evaluator."""
    yield EvaluatorComponent(
        name="classification",
        summary="confusion matrix, accuracy, precision, recall, specificity, F1 (DSC), ROC and AUC, per-class report",
        factory="toolbox_classification.heavy.evaluator:Classification",
    )
