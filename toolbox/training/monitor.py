"""What a stage is judged by on the validation split, and what early stopping watches (``training.monitor``)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from toolbox.api.errors import UsageError
from toolbox.training.stages import Stage


@dataclass(frozen=True)
class Validation:
    """``loss``: mean cross-entropy in nats; ``accuracy`` in 0..1; ``monitored``: the lower, the better."""

    loss: float
    accuracy: float
    monitored: float


def validate(logits: torch.Tensor, targets: torch.Tensor, stage: Stage) -> Validation:
    """The figures of ``logits`` (float ``[N, classes]``) against ``targets`` (int64 ``[N]``), both on the CPU.

    Raises
    ------
    UsageError: an AUC is to be watched, and all images are of one class.
    """
    losses = F.cross_entropy(logits, targets, reduction="none")
    correct = (logits.argmax(1) == targets).float()
    loss, accuracy = losses.mean().item(), correct.mean().item()
    match stage.monitor:
        case "loss":
            monitored = loss
        case "balanced-loss":
            monitored = _balanced(losses, targets)
        case "accuracy":
            monitored = -accuracy
        case "balanced-accuracy":
            monitored = -_balanced(correct, targets)
        case "auc":
            monitored = -_auc(torch.softmax(logits, 1), targets)
    return Validation(loss, accuracy, monitored)


def _balanced(values: torch.Tensor, targets: torch.Tensor) -> float:
    """The mean over the classes of their mean value."""
    counts = torch.bincount(targets)
    sums = torch.zeros(len(counts), dtype=values.dtype).index_add_(0, targets, values)
    present = counts > 0
    return float((sums[present] / counts[present]).mean())


def _auc(probabilities: torch.Tensor, targets: torch.Tensor) -> float:
    """The mean over the classes of the area under the ROC curve of each against the others."""
    present = torch.bincount(targets).nonzero().flatten().tolist()
    if len(present) < 2:
        raise UsageError(
            "training.monitor = auc: all validation images are of one class",
            "Watch the loss, or split again with another seed.",
        )
    return float(torch.tensor([_area(probabilities[:, index], targets == index) for index in present]).mean())


def _area(scores: torch.Tensor, positive: torch.Tensor) -> float:
    """The share of pairs of a positive and a negative in which the positive scores higher; ties count half."""
    negatives = scores[~positive].sort().values
    below = torch.searchsorted(negatives, scores[positive])
    not_above = torch.searchsorted(negatives, scores[positive], right=True)
    return float((below + not_above).double().mean() / (2 * len(negatives)))
