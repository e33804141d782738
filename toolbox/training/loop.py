"""The training loop. It reads from top to bottom; everything else prepares its arguments."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from toolbox.api.errors import EnvironmentFailure, ToolboxError
from toolbox.api.progress import Reporter
from toolbox.models.freeze import set_training_mode
from toolbox.training import schedules
from toolbox.training.batches import class_weights, key, order
from toolbox.training.checkpoint import Checkpoints, Interrupts, State, generators, restore_generators
from toolbox.training.distributed import ALONE, Team
from toolbox.training.inputs import Inputs, in_order, mixed
from toolbox.training.stages import Stage

Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Epoch:
    """What ``metrics.jsonl`` says of one epoch. Losses are cross-entropy in nats, accuracies in 0..1.

    ``train_loss`` is what was minimised, label smoothing and class weights included, averaged while the weights
    changed; ``val_loss`` is plain cross-entropy at the epoch's end. ``lr``: that of the last step.
    """

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


@dataclass
class Position:
    """Where a stage is: ``step`` steps of ``epoch`` (from 1) are done; sums and ``seconds`` are the epoch's so far."""

    loss_sum: torch.Tensor
    correct: torch.Tensor
    epoch: int = 1
    step: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0

    def next_epoch(self) -> None:
        """Go to the beginning of the next epoch."""
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.loss_sum, self.correct = torch.zeros_like(self.loss_sum), torch.zeros_like(self.correct)


def fit(
    module: nn.Module,
    forward: Forward,
    train: Labelled,
    val: Labelled | None,
    stage: Stage,
    seed: int,
    on_epoch: Callable[[Epoch], None],
    reporter: Reporter,
    *,
    scales: Mapping[str, float] | None = None,
    checkpoints: Checkpoints | None = None,
    saved: State | None = None,
    team: Team = ALONE,
) -> Outcome:
    """Train the parameters of ``module`` that take gradients, through ``forward`` (inputs to logits).

    With ``stage.early_stopping`` and a validation part, the weights with the lowest validation loss, those at the
    start included, are put back at the end. The order of samples follows from ``seed``, stage and epoch alone.

    ``scales``: what learning rates are multiplied by, by parameter name. ``checkpoints``: where the state is kept,
    also on Ctrl-C; ``saved``: such a state, to go on from. ``team``: the processes that share the batches.

    Raises
    ------
    ToolboxError: the loss is no longer finite.
    EnvironmentFailure: the device is out of memory, or a checkpoint can't be written.
    KeyboardInterrupt: the user wants to stop.
    """
    device = next(parameter.device for parameter in module.parameters() if parameter.requires_grad)
    optimizer = schedules.make_optimizer(module, stage, scales)
    weights = class_weights(train.targets, stage).to(device)
    watched = val if stage.early_stopping else None
    here = Position(torch.zeros((), device=device), torch.zeros((), device=device))
    best: State = {}
    if saved is not None:
        here, best = _restored(saved, module, optimizer, device)
    if saved is None or not team.first:
        # For dropout: of its own in each process. A checkpoint holds the first one's.
        torch.manual_seed(key(seed, stage.name, "layers", *([] if team.first else [team.rank, here.epoch, here.step])))
    if saved is None and watched:
        # The weights a stage starts with are its first candidate: it can't end worse than it began.
        here.best_loss, best = measure(module, forward, watched, stage.batch_size, team)[0], _trained_state(module)

    def save() -> None:
        if checkpoints:
            checkpoints.save(_state(here, best, module, optimizer))

    per_epoch = len(order(train.targets, stage, seed, 1))
    task = reporter.task(stage.name, stage.epochs * per_epoch, "steps")
    task.advance((here.epoch - 1) * per_epoch + here.step)
    with Interrupts(patient=team.size > 1) as interrupts:
        try:
            while not _over(here, stage, watched):
                began = time.perf_counter() - here.seconds
                set_training_mode(module, stage.batch_norm)
                train.inputs.start_epoch(here.epoch)
                for indices in order(train.targets, stage, seed, here.epoch)[here.step :]:
                    with interrupts.held():
                        schedules.set_rate(optimizer, stage, (here.epoch - 1) * per_epoch + here.step, per_epoch)
                        _step(forward, train, indices, optimizer, weights, stage, here, team)
                        here.seconds = time.perf_counter() - began
                        team.stop_together(interrupts.waiting, device)
                    task.advance()
                    if checkpoints and checkpoints.due(epoch_ends=False):
                        save()
                measured = measure(module, forward, val, stage.batch_size, team) if val else (None, None)
                with interrupts.held():
                    line = _line(here, stage, len(train.targets), measured, optimizer, time.perf_counter() - began)
                    on_epoch(line)
                    if watched and measured[0] is not None and measured[0] < here.best_loss:
                        here.best_loss, here.best_epoch, best = measured[0], here.epoch, _trained_state(module)
                    here.next_epoch()
                task.describe(f"{stage.name}: {_in_words(line)}")
                if checkpoints and checkpoints.due(epoch_ends=True):
                    save()
        except torch.OutOfMemoryError as error:
            raise EnvironmentFailure(
                f"{device} ran out of memory in stage {stage.name} at batch size {stage.batch_size}",
                "Lower training.batch_size or training.size.",
            ) from error
        except KeyboardInterrupt:
            if not interrupts.torn:
                save()
            raise
        finally:
            task.close()
    module.eval()
    epochs = here.epoch - 1
    if not watched:
        return Outcome(epochs, epochs, False)
    module.load_state_dict(best, strict=False)
    return Outcome(epochs, here.best_epoch, epochs < stage.epochs)


def _step(
    forward: Forward,
    train: Labelled,
    indices: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    weights: torch.Tensor,
    stage: Stage,
    here: Position,
    team: Team,
) -> None:
    """One step on the samples ``indices``; what it brought is added to ``here``."""
    mine, counts = team.share(indices)
    targets = train.targets[mine].to(weights.device)
    number = here.step * team.size + team.rank + 1
    batch, wanted = mixed(train.inputs, train.inputs.batch(mine), targets, number)
    logits = forward(batch)
    losses = F.cross_entropy(logits, wanted, label_smoothing=stage.label_smoothing, reduction="none")
    loss = (losses * weights[targets]).sum() * (counts / len(indices))
    right = (logits.detach().argmax(1) == targets).sum() * counts
    whole, right = team.total(loss.detach(), right)
    if not torch.isfinite(whole):
        raise ToolboxError(
            f"the loss is {whole.item()} in stage {stage.name}, epoch {here.epoch}, step {here.step + 1}",
            f"Lower the learning rate (now {optimizer.param_groups[0]['lr']:g}).",
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    team.sum_gradients(parameter for group in optimizer.param_groups for parameter in group["params"])
    optimizer.step()
    here.loss_sum += whole * len(indices)
    here.correct += right
    here.step += 1


def measure(
    module: nn.Module, forward: Forward, labelled: Labelled, batch_size: int, team: Team = ALONE
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy, in evaluation mode; in a team, what the first process measures."""
    logits = predict(module, forward, labelled.inputs, batch_size)
    loss = F.cross_entropy(logits, labelled.targets).item()
    return team.agreed(lambda: (loss, (logits.argmax(1) == labelled.targets).float().mean().item()))


def predict(module: nn.Module, forward: Forward, inputs: Inputs, batch_size: int) -> torch.Tensor:
    """Logits for ``inputs`` in their order, in evaluation mode: float32 ``[N, classes]`` on the CPU."""
    module.eval()
    with torch.inference_mode():
        batches = (inputs.batch(indices) for indices in in_order(len(inputs), batch_size))
        return torch.cat([forward(batch).float().cpu() for batch in batches])


def _over(here: Position, stage: Stage, watched: Labelled | None) -> bool:
    done = here.epoch - 1
    return done >= stage.epochs or (watched is not None and done - here.best_epoch >= stage.patience)


def _line(
    here: Position,
    stage: Stage,
    count: int,
    measured: tuple[float, float] | tuple[None, None],
    optimizer: torch.optim.Optimizer,
    seconds: float,
) -> Epoch:
    return Epoch(
        stage=stage.name,
        epoch=here.epoch,
        train_loss=here.loss_sum.item() / count,
        train_accuracy=here.correct.item() / count,
        val_loss=measured[0],
        val_accuracy=measured[1],
        lr=optimizer.param_groups[0]["lr"],
        seconds=seconds,
    )


def _state(here: Position, best: State, module: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """All that the rest of a stage depends on."""
    return {
        "position": dict(vars(here)),
        "best": best,
        "model": _trained_state(module, whole=False),
        "optimizer": optimizer.state_dict(),
        "generators": generators(),
    }


def _restored(
    saved: State, module: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> tuple[Position, State]:
    """Put ``saved`` (see :func:`_state`) back; the position, and the best weights so far."""
    optimizer.load_state_dict(saved["optimizer"])
    module.load_state_dict(saved["model"], strict=False)
    restore_generators(saved["generators"])
    position = Position(**saved["position"])
    position.loss_sum, position.correct = position.loss_sum.to(device), position.correct.to(device)
    return position, saved["best"]


def _trained_state(module: nn.Module, whole: bool = True) -> dict[str, torch.Tensor]:
    """What training changes: parameters with gradients, and buffers (frozen ones are the same anyway).

    ``whole``: as copies of their own; else as they are, for writing at once.
    """
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    trained |= {name for name, _ in module.named_buffers()}
    state = {name: value for name, value in module.state_dict().items() if name in trained}
    return copy.deepcopy(state) if whole else state


def _in_words(line: Epoch) -> str:
    text = f"epoch {line.epoch}, loss {line.train_loss:.3f}"
    return text if line.val_accuracy is None else f"{text}, validation {line.val_accuracy:.1%}"
