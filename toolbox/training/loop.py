"""The training loop. It reads from top to bottom; everything else prepares its arguments."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from toolbox.api.errors import EnvironmentFailure, ToolboxError
from toolbox.api.progress import Reporter, SilentReporter
from toolbox.models.freeze import set_training_mode
from toolbox.models.precision import Forward
from toolbox.training import batches, schedules
from toolbox.training.checkpoint import Checkpoints, State, TrainState
from toolbox.training.distributed import SINGLE_PROCESS, ProcessGroup
from toolbox.training.inputs import Inputs, LabeledInputs
from toolbox.training.interrupts import Interrupts
from toolbox.training.monitor import Validation, validate
from toolbox.training.stages import Stage


@dataclass(frozen=True)
class EpochMetrics:
    """A line of ``metrics.jsonl``. Losses are cross-entropy in nats, accuracies in 0..1.

    ``train_loss`` is the quantity minimized, label smoothing and class weights included, averaged over the epoch while
    the weights change; ``val_loss`` is plain cross-entropy at the end of the epoch. ``lr``: that of the last step.
    """

    stage: str
    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float

    def __str__(self) -> str:
        text = f"{self.stage}: epoch {self.epoch}, loss {self.train_loss:.3f}"
        return text if self.val_accuracy is None else f"{text}, validation {self.val_accuracy:.1%}"


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: epochs run, and the one whose weights were kept (0: those it started with)."""

    epochs: int = 0
    best_epoch: int = 0
    stopped_early: bool = False


def fit(
    module: nn.Module,
    forward: Forward,
    train: LabeledInputs,
    val: LabeledInputs | None,
    stage: Stage,
    *,
    lr_scales: Mapping[str, float] | None = None,
    on_epoch: Callable[[EpochMetrics], object] = lambda _: None,
    reporter: Reporter | None = None,
    checkpoints: Checkpoints | None = None,
    resume_from: State | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Outcome:
    """Train the parameters of ``module`` that require gradients, through ``forward`` (inputs to logits).

    With early stopping and validation data, the weights that are best by ``training.monitor``, those at the start
    included, are restored at the end.

    ``lr_scales``: factors on the learning rate by parameter name. ``checkpoints``: where the state is saved, also on
    Ctrl-C; ``resume_from``: such a state. ``group``: the processes that share each batch.

    Raises
    ------
    ToolboxError: the training or validation loss, or a weight, is not finite.
    EnvironmentFailure: the device is out of memory, or a checkpoint can't be written.
    KeyboardInterrupt: the user stopped the training.
    """
    settings = stage.settings
    device = next(parameter.device for parameter in module.parameters() if parameter.requires_grad)
    optimizer = schedules.make_optimizer(module, stage, lr_scales)
    class_weights = batches.class_weights(train.targets, stage).to(device)
    monitored = val if settings.early_stopping else None
    state = TrainState(module, optimizer, device)
    if resume_from is not None:
        state.load_dict(resume_from)
    if resume_from is None or not group.is_first:
        # Dropout differs between processes. A checkpoint holds the generators of the first.
        position = () if group.is_first else (group.rank, state.epoch, state.step)
        torch.manual_seed(batches.derive_seed(stage.seed, stage.name, "layers", *position))
    if resume_from is None and monitored:
        # The initial weights are the first candidate: a stage can't end worse than it started.
        state.keep_best(evaluate(module, forward, monitored, stage, group).monitored, epoch=0)

    steps_per_epoch = len(batches.epoch_batches(train.targets, stage, 1))
    total_steps = stage.count_steps(steps_per_epoch)

    def steps_before() -> int:
        """Steps of the epochs before this one."""
        return (state.epoch - 1) * steps_per_epoch

    def should_continue() -> bool:
        waited = state.epoch - 1 - state.best_epoch
        return steps_before() < total_steps and not (monitored and waited >= settings.patience)

    task = (reporter or SilentReporter()).task(stage.name, total_steps, "steps")
    task.advance(steps_before() + state.step)
    with Interrupts(only_record=group.size > 1) as interrupts:
        try:
            while should_continue():
                start = time.perf_counter() - state.seconds
                set_training_mode(module, settings.batch_norm)
                train.inputs.stage, train.inputs.epoch = stage.name, state.epoch
                # The last epoch may be cut by a budget of steps.
                epoch = batches.epoch_batches(train.targets, stage, state.epoch)[: total_steps - steps_before()]
                draws = torch.split(batches.count_draws(torch.cat(epoch)), [len(indices) for indices in epoch])
                for samples in list(zip(epoch, draws, strict=True))[state.step :]:
                    with interrupts.deferred():
                        schedules.set_lr(optimizer, stage, steps_before() + state.step, steps_per_epoch)
                        _step(forward, train, *samples, class_weights, stage, state, group)
                        state.seconds = time.perf_counter() - start
                        group.raise_if_any_stopped(interrupts.pending, device)
                    task.advance()
                    if checkpoints and checkpoints.is_due(epoch_end=False):
                        checkpoints.save(state)
                validation = evaluate(module, forward, val, stage, group) if val else None
                with interrupts.deferred():
                    count = sum(map(len, epoch))
                    metrics = _epoch_metrics(state, stage, count, validation, time.perf_counter() - start)
                    on_epoch(metrics)
                    if monitored and validation is not None:
                        state.keep_best(validation.monitored, state.epoch)
                    state.next_epoch()
                task.describe(str(metrics))
                if checkpoints and checkpoints.is_due(epoch_end=True):
                    checkpoints.save(state)
        except torch.OutOfMemoryError as error:
            raise EnvironmentFailure(
                f"{device} ran out of memory in stage {stage.name} at batch size {settings.batch_size}",
                "Lower training.batch_size or training.size.",
            ) from error
        except KeyboardInterrupt:
            if checkpoints and not interrupts.state_is_partial:
                checkpoints.save(state)
            raise
        finally:
            task.close()
    module.eval()
    epochs = state.epoch - 1
    if monitored:
        module.load_state_dict(state.best_weights, strict=False)
        return Outcome(epochs, state.best_epoch, steps_before() < total_steps)
    if not all(parameter.isfinite().all() for parameter in module.parameters() if parameter.requires_grad):
        raise _diverged(f"a weight is not finite after stage {stage.name}", optimizer)
    return Outcome(epochs, epochs)


def _step(
    forward: Forward,
    train: LabeledInputs,
    indices: torch.Tensor,
    draws: torch.Tensor,
    class_weights: torch.Tensor,
    stage: Stage,
    state: TrainState,
    group: ProcessGroup,
) -> None:
    """One step of the optimizer on the batch ``indices``; adds its loss and hits to ``state``.

    The loss is divided by the number of images, not by the sum of their class weights. Each class of a mixed target has
    its own weight.
    """
    (own, weight), (own_draws, _) = group.shard(indices), group.shard(draws)
    targets = train.targets[own].to(class_weights.device)
    batch_number = state.step * group.size + group.rank + 1
    images, mixed_targets = train.inputs.mix(train.inputs.training_batch(own, own_draws), targets, batch_number)
    logits = forward(images)
    # A class that comes last may have no samples, and so no weight.
    weights = F.pad(class_weights, (0, logits.shape[1] - len(class_weights)), value=1.0)
    losses = F.cross_entropy(
        logits, mixed_targets, weights, label_smoothing=stage.settings.label_smoothing, reduction="none"
    )
    loss = losses.sum() * (weight / len(indices))
    correct = (logits.detach().argmax(1) == targets).sum() * weight
    total_loss, total_correct = group.sum(loss.detach(), correct)
    if not torch.isfinite(total_loss):
        place = f"stage {stage.name}, epoch {state.epoch}, step {state.step + 1}"
        raise _diverged(f"the loss is {total_loss.item()} in {place}", state.optimizer)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    group.sum_gradients(parameter for each in state.optimizer.param_groups for parameter in each["params"])
    state.optimizer.step()
    state.loss_sum += total_loss * len(indices)
    state.correct += total_correct
    state.step += 1


def evaluate(
    module: nn.Module, forward: Forward, data: LabeledInputs, stage: Stage, group: ProcessGroup = SINGLE_PROCESS
) -> Validation:
    """The figures of ``data`` in evaluation mode; in a group, those that the first process computes."""
    logits = predict_logits(module, forward, data.inputs, stage.settings.batch_size)
    return group.broadcast(lambda: validate(logits, data.targets, stage))


def predict_logits(module: nn.Module, forward: Forward, inputs: Inputs, batch_size: int) -> torch.Tensor:
    """Logits for ``inputs`` in their order, in evaluation mode: float32 ``[N, classes]`` on the CPU."""
    module.eval()
    with torch.inference_mode():
        parts = torch.split(torch.arange(len(inputs)), batch_size)
        return torch.cat([forward(inputs.batch(indices)).float().cpu() for indices in parts])


def _epoch_metrics(
    state: TrainState,
    stage: Stage,
    count: int,
    validation: Validation | None,
    seconds: float,
) -> EpochMetrics:
    val_loss = validation.loss if validation else None
    if val_loss is not None and not math.isfinite(val_loss):
        place = f"stage {stage.name}, epoch {state.epoch}"
        raise _diverged(f"the validation loss is {val_loss} in {place}", state.optimizer)
    return EpochMetrics(
        stage=stage.name,
        epoch=state.epoch,
        train_loss=state.loss_sum.item() / count,
        train_accuracy=state.correct.item() / count,
        val_loss=val_loss,
        val_accuracy=validation.accuracy if validation else None,
        lr=state.optimizer.param_groups[0]["lr"],
        seconds=seconds,
    )


def _diverged(problem: str, optimizer: torch.optim.Optimizer) -> ToolboxError:
    return ToolboxError(problem, f"Lower the learning rate (now {optimizer.param_groups[0]['lr']:g}).")
