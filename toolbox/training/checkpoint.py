"""Checkpoints: everything that the rest of a training depends on, so that a resumed run ends with the same bits."""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.files import atomic

FILE = "state.pt"

_MAX_SHARE = 0.05
"""Largest share of the time since the last checkpoint that writing one at the end of an epoch may take."""

State = dict[str, Any]
"""Tensors, numbers, strings, and lists and dicts of them: what ``torch.load`` reads with ``weights_only``."""


class TrainState:
    """Where a stage is: ``step`` steps of ``epoch`` (counted from 1) are complete.

    ``loss_sum``, ``correct`` (scalars on the device) and ``seconds`` add up over the current epoch. ``best_weights``:
    those with the lowest ``best_loss`` so far, where the validation split is monitored.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        self.module = module
        self.optimizer = optimizer
        self.device = device
        self.epoch, self.step, self.seconds = 1, 0, 0.0
        self.loss_sum, self.correct = torch.zeros((), device=device), torch.zeros((), device=device)
        self.best_loss, self.best_epoch = math.inf, 0
        self.best_weights: dict[str, torch.Tensor] = {}

    def next_epoch(self) -> None:
        """Go to the beginning of the next epoch."""
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.loss_sum, self.correct = torch.zeros_like(self.loss_sum), torch.zeros_like(self.correct)

    def keep_best(self, loss: float, epoch: int) -> None:
        """Keep a copy of the current weights if ``loss``, what early stopping watches, is the lowest so far."""
        if loss < self.best_loss or epoch == 0:
            self.best_loss, self.best_epoch = loss, epoch
            self.best_weights = copy.deepcopy(self._trained_weights())

    def to_dict(self) -> State:
        """The state for a checkpoint, with weights and optimizer by reference."""
        position = ("loss_sum", "correct", "epoch", "step", "seconds", "best_loss", "best_epoch")
        return {
            "position": {name: getattr(self, name) for name in position},
            "best": self.best_weights,
            "model": self._trained_weights(),
            "optimizer": self.optimizer.state_dict(),
            "generators": _generator_states(),
        }

    def load_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of :meth:`to_dict`, and with it the module, the optimizer and torch's generators."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.module.load_state_dict(state["model"], strict=False)
        _restore_generators(state["generators"])
        vars(self).update(state["position"])
        self.loss_sum, self.correct = self.loss_sum.to(self.device), self.correct.to(self.device)
        self.best_weights = state["best"]

    def _trained_weights(self) -> dict[str, torch.Tensor]:
        """What training changes: parameters with gradients, and buffers (frozen ones keep their values anyway)."""
        trained = {name for name, parameter in self.module.named_parameters() if parameter.requires_grad}
        trained |= {name for name, _ in self.module.named_buffers()}
        return {name: value for name, value in self.module.state_dict().items() if name in trained}


class Checkpoints:
    """The newest state of a training, in one file in ``folder``.

    ``minutes``: the longest time between two checkpoints. At the end of an epoch one is written anyway, unless that
    would take more than a twentieth of the time since the last.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder = folder
        self.minutes = minutes
        self.run_state: Callable[[], State] = dict
        """What goes into every checkpoint beside the loop's state: the stages before this one, the history."""
        self._written_at = time.monotonic()
        self._seconds_to_write = 0.0

    def is_due(self, epoch_end: bool) -> bool:
        """Whether it is time to write a checkpoint."""
        elapsed = time.monotonic() - self._written_at
        return elapsed >= self.minutes * 60 or (epoch_end and elapsed * _MAX_SHARE >= self._seconds_to_write)

    def save(self, state: TrainState) -> None:
        """Replace the checkpoint; the one before stays if this one can't be written.

        Raises
        ------
        EnvironmentFailure: disk full, no permission, ….
        KeyboardInterrupt: Ctrl-C while it is written.
        """
        start = time.monotonic()
        with atomic.replace_file(self.folder / FILE) as temporary, temporary.open("wb") as file:
            try:
                torch.save({**self.run_state(), "loop": state.to_dict()}, file)
            except RuntimeError as error:
                # torch hides what ended a write, a full disk or Ctrl-C, behind an error of its own.
                hidden = error.__context__
                raise hidden if isinstance(hidden, OSError | KeyboardInterrupt) else error from None
        self._written_at = time.monotonic()
        self._seconds_to_write = self._written_at - start

    def load(self) -> State | None:
        """The last checkpoint; ``None`` if none was written.

        Raises
        ------
        UsageError: the file is damaged.
        """
        path = self.folder / FILE
        for leftover in self.folder.glob(f".{FILE}.*.tmp"):  # a process was killed while writing
            leftover.unlink(missing_ok=True)
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # unpickling damaged bytes raises anything
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"{path} can't be read: {reason}", "Delete it to start the run over.") from error
        if not isinstance(state, dict) or not {"loop", "done", "history", "seconds", "frozen"} <= state.keys():
            raise UsageError(f"{path} is not a checkpoint", "Delete it to start the run over.")
        return state

    def clear(self) -> None:
        """Delete the checkpoint of a completed training."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _generator_states() -> State:
    state: State = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def _restore_generators(state: Mapping[str, Any]) -> None:
    """Set torch's generators to a state of :func:`_generator_states`.

    Raises
    ------
    EnvironmentFailure: it belongs to other devices.
    """
    torch.set_rng_state(state["cpu"])
    try:
        if "cuda" in state:
            torch.cuda.set_rng_state_all(state["cuda"])
        if "mps" in state:
            torch.mps.set_rng_state(state["mps"])
    except (RuntimeError, IndexError, AssertionError) as error:
        raise EnvironmentFailure(
            "the checkpoint was written on other devices", "Resume on the machine where the run started."
        ) from error
