"""What happens beside the steps: averaged weights that are validated and saved, and the time that was trained."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging

from ..network import save_checkpoint
from .module import RestorationModule


class Clock(Callback):
    """Wall time trained, over all resumptions; that of an epoch which was cut off, and is repeated, does not count."""

    def __init__(self) -> None:
        self._before = 0.0
        self._started: float | None = None

    @property
    def hours(self) -> float:
        """Hours so far."""
        running = monotonic() - self._started if self._started is not None else 0.0
        return (self._before + running) / 3600.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Called once per process, after the state was loaded."""
        self._started = monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What the next process starts from."""
        return {"hours": self.hours}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the processes before."""
        self._before = 3600.0 * state_dict["hours"]


class AveragedCheckpoint(EMAWeightAveraging):
    """Averages the weights over the steps; the average is what is validated and written as deployable checkpoint.

    That happens every `check_val_every_n_epoch` epochs and after the last one, at whose end the validation is over.
    """

    def __init__(self, path: Path, decay: float, clock: Clock) -> None:
        super().__init__(decay=decay)
        self.path, self.clock = path, clock
        self.training: dict[str, Any] = {}
        """What the last checkpoint says about its training."""

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The last epoch is validated, be their number a multiple or not."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save where a validation was due, also when there is nothing to validate on."""
        super().on_train_epoch_end(trainer, pl_module)
        every = trainer.check_val_every_n_epoch
        assert every is not None
        if trainer.is_global_zero and (trainer.current_epoch + 1) % every == 0:
            self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        assert self._average_model is not None
        average = self._average_model.module  # a copy of the module: the one that trains has its own weights back
        assert isinstance(average, RestorationModule)
        config = average.config
        self.training = {
            "config": config.model_dump(mode="json"),
            "step": trainer.global_step,
            "samples": trainer.global_step * config.schedule.batch,
            "hours": round(self.clock.hours, 4),
            "scores": {name: round(float(value), 4) for name, value in trainer.callback_metrics.items()},
        }
        save_checkpoint(average.model, self.path, task=config.task, training=json.dumps(self.training))

    def state_dict(self) -> dict[str, Any]:
        """With the facts of the last checkpoint, so that a run that is over still knows its scores."""
        return {**super().state_dict(), "training": self.training}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the processes before."""
        super().load_state_dict(state_dict)
        self.training = state_dict["training"]
