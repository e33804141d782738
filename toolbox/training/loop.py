"""The training loop. It reads from top to bottom; everything else prepares its arguments."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from toolbox.errors import EnvironmentFailure, ToolboxError
from toolbox.progress import Reporter
from toolbox.settings.schema import StageSettings, TrainingSettings
from toolbox.training.freeze import set_training_mode
from toolbox.training.inputs import Inputs, in_order, mixed


@dataclass(frozen=True)
class Stage:
    """A stage's settings, resolved."""

    name: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: str
    weight_decay: float
    momentum: float
    schedule: str
    early_stopping: bool
    patience: int
    batch_norm: str


@dataclass(frozen=True)
class Epoch:
    """What ``metrics.jsonl`` says of one epoch. Losses are cross-entropy in nats, accuracies in 0..1."""

    stage: str
    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float


@dataclass(frozen=True)
class Labelled:
    """Inputs with their classes: ``targets`` int64 ``[N]`` on the CPU."""

    inputs: Inputs
    targets: torch.Tensor


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: epochs run, and the one whose weights were kept (0: those it started with)."""

    epochs: int
    best_epoch: int
    stopped_early: bool


def resolved(name: str, epochs: int, training: TrainingSettings, own: StageSettings | None = None) -> Stage:
    """A stage's settings: its own where it sets them, else those of ``[training]``."""

    def pick(key: str) -> object:
        value = getattr(own, key, None)
        return getattr(training, key) if value is None else value

    keys = [key for key in Stage.__dataclass_fields__ if key not in ("name", "epochs")]
    return Stage(name, epochs, **{key: pick(key) for key in keys})  # type: ignore[arg-type]


def fit(
    module: nn.Module,
    forward: Callable[[torch.Tensor], torch.Tensor],
    train: Labelled,
    val: Labelled | None,
    stage: Stage,
    seed: int,
    on_epoch: Callable[[Epoch], None],
    reporter: Reporter,
) -> Outcome:
    """Train the parameters of ``module`` that take gradients, through ``forward`` (inputs to logits).

    With ``stage.early_stopping`` and a validation part, the weights with the lowest validation loss, those at the
    start included, are put back at the end. The order of samples follows from ``seed``, stage and epoch alone.

    Raises
    ------
    ToolboxError: the loss is no longer finite.
    EnvironmentFailure: the device is out of memory.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    device = parameters[0].device
    optimizer = make_optimizer(parameters, stage)
    scheduler = make_scheduler(optimizer, stage)
    torch.manual_seed(key(seed, stage.name, "layers"))  # for dropout
    best_loss, best_epoch, best_state = math.inf, 0, _trained_state(module)
    if stage.early_stopping and val:
        # The weights a stage starts with are its first candidate: it can't end worse than it began.
        best_loss = measure(module, forward, val, stage.batch_size)[0]
    epoch = 0
    task = reporter.task(stage.name, stage.epochs * len(order(len(train.targets), stage, seed, 1)), "steps")
    try:
        for epoch in range(1, stage.epochs + 1):
            start = time.perf_counter()
            set_training_mode(module, stage.batch_norm)
            train.inputs.start_epoch(epoch)
            loss_sum = torch.zeros((), device=device)
            correct = torch.zeros((), device=device)
            for step, indices in enumerate(order(len(train.targets), stage, seed, epoch), start=1):
                targets = train.targets[indices].to(device)
                batch, wanted = mixed(train.inputs, train.inputs.batch(indices), targets, step)
                logits = forward(batch)
                loss = F.cross_entropy(logits, wanted)
                if not torch.isfinite(loss):
                    raise ToolboxError(
                        f"the loss is {loss.item()} in stage {stage.name}, epoch {epoch}, step {step}",
                        f"Lower the learning rate (now {stage.lr:g}).",
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                loss_sum += loss.detach() * len(indices)
                correct += (logits.detach().argmax(1) == targets).sum()
                task.advance()
            val_loss, val_accuracy = measure(module, forward, val, stage.batch_size) if val else (None, None)
            line = Epoch(
                stage=stage.name,
                epoch=epoch,
                train_loss=loss_sum.item() / len(train.targets),
                train_accuracy=correct.item() / len(train.targets),
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                lr=optimizer.param_groups[0]["lr"],
                seconds=time.perf_counter() - start,
            )
            scheduler.step()
            on_epoch(line)
            task.describe(f"{stage.name}: {_in_words(line)}")
            if stage.early_stopping and val_loss is not None:
                if val_loss < best_loss:
                    best_loss, best_epoch, best_state = val_loss, epoch, _trained_state(module)
                elif epoch - best_epoch >= stage.patience:
                    break
    except torch.OutOfMemoryError as error:
        raise EnvironmentFailure(
            f"{device} ran out of memory in stage {stage.name} at batch size {stage.batch_size}",
            "Lower training.batch_size or training.size.",
        ) from error
    finally:
        task.close()
    module.eval()
    if not (stage.early_stopping and val):
        return Outcome(epoch, epoch, False)
    module.load_state_dict(best_state, strict=False)
    return Outcome(epoch, best_epoch, epoch < stage.epochs)


def measure(
    module: nn.Module, forward: Callable[[torch.Tensor], torch.Tensor], labelled: Labelled, batch_size: int
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy, in evaluation mode."""
    logits = predict(module, forward, labelled.inputs, batch_size)
    loss = F.cross_entropy(logits, labelled.targets).item()
    return loss, (logits.argmax(1) == labelled.targets).float().mean().item()


def predict(
    module: nn.Module, forward: Callable[[torch.Tensor], torch.Tensor], inputs: Inputs, batch_size: int
) -> torch.Tensor:
    """Logits for ``inputs`` in their order, in evaluation mode: float32 ``[N, classes]`` on the CPU."""
    module.eval()
    with torch.inference_mode():
        batches = (inputs.batch(indices) for indices in in_order(len(inputs), batch_size))
        return torch.cat([forward(batch).float().cpu() for batch in batches])


def order(count: int, stage: Stage, seed: int, epoch: int) -> list[torch.Tensor]:
    """The batches of an epoch, as indices. A last batch of one joins its neighbour: BatchNorm can't take it."""
    shuffle = torch.Generator().manual_seed(key(seed, stage.name, epoch))
    batches = list(torch.split(torch.randperm(count, generator=shuffle), stage.batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def key(*parts: object) -> int:
    """A seed for torch (63 bits) that follows from ``parts`` by SHA-256."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_optimizer(parameters: list[nn.Parameter], stage: Stage) -> torch.optim.Optimizer:
    """The stage's optimiser over ``parameters``."""
    if stage.optimizer == "sgd":
        return torch.optim.SGD(parameters, stage.lr, stage.momentum, weight_decay=stage.weight_decay)
    kind = torch.optim.AdamW if stage.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, stage.lr, weight_decay=stage.weight_decay)


def make_scheduler(optimizer: torch.optim.Optimizer, stage: Stage) -> torch.optim.lr_scheduler.LRScheduler:
    """The stage's schedule, a step an epoch."""
    if stage.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, stage.epochs))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)


def _trained_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """What training changes: parameters with gradients, and buffers (frozen ones are the same anyway)."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    trained |= {name for name, _ in module.named_buffers()}
    return {name: copy.deepcopy(value) for name, value in module.state_dict().items() if name in trained}


def _in_words(line: Epoch) -> str:
    text = f"epoch {line.epoch}, loss {line.train_loss:.3f}"
    return text if line.val_accuracy is None else f"{text}, validation {line.val_accuracy:.1%}"
