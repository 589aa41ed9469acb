"""What happens beside the steps: averaged weights that are validated and saved, and the time that was trained."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.profilers import SimpleProfiler
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ...network import save_checkpoint
from ...runtime.images import Picture, write_image
from ..data.corpus import MaskedPhoto, PicturePair
from .module import RestorationModule


class Clock(Callback):
    """Wall time trained, over all resumptions; that of an epoch which was cut off, and is repeated, does not count."""

    def __init__(self, before: float = 0.0) -> None:
        """`before`: hours of the stages before this one."""
        self._before = 3600.0 * before
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


class AveragedCheckpoint(WeightAveraging):
    """Averages the weights over the steps; the average is what is validated and written as deployable checkpoint.

    That happens every `check_val_every_n_epoch` epochs and after the last one, at whose end the validation is over.
    """

    def __init__(self, path: Path, decay: float, clock: Clock) -> None:
        # the one of several tensors: it interpolates, so that the average of frozen weights is exactly these
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))
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
        config, stage = average.config, average.hparams["stage"]
        self.training = {
            "config": config.model_dump(mode="json"),
            "stage": stage,
            "step": config.steps_before(stage) + trainer.global_step,
            "samples": config.samples_before(stage) + trainer.global_step * config.stages[stage].batch,
            "hours": round(self.clock.hours, 4),
            "scores": {k: round(float(v), 4) for k, v in trainer.callback_metrics.items() if k not in PACE},
        }
        save_checkpoint(average.model, self.path, task=config.task, training=json.dumps(self.training))

    def state_dict(self) -> dict[str, Any]:
        """With the facts of the last checkpoint, so that a run that is over still knows its scores."""
        return {**super().state_dict(), "training": self.training}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the processes before."""
        super().load_state_dict(state_dict)
        self.training = state_dict["training"]


class Durations(SimpleProfiler):
    """The trainer's own record of where the time goes, without the table that it prints at the end."""

    def describe(self) -> None:
        """Nothing: `Pace` tells what matters."""


PACE = ("steps_per_second", "data_share")
"""What `Pace` logs: no scores."""


class Pace(Callback):
    """Steps per second, and the share of the time in which a step waited for its batch; of this process."""

    def __init__(self, profiler: Durations) -> None:
        """`profiler` is the trainer's: it knows how long the loader was waited for."""
        self.profiler = profiler
        self._steps, self._seconds, self._started = 0, 0.0, 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The clock runs while batches are trained on, not while the weights are saved and validated."""
        self._started = monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *rest: Any) -> None:
        """Count, and show."""
        now = monotonic()
        self._seconds += now - self._started
        self._started = now
        self._steps += 1
        if self._steps % 10 == 0:
            module.log_dict({name: getattr(self, name) for name in PACE}, prog_bar=True)

    @property
    def steps_per_second(self) -> float:
        """Mean since the process began to train; 0 before the first step."""
        return self._steps / self._seconds if self._seconds else 0.0

    @property
    def data_share(self) -> float:
        """0..1 of that time spent waiting for batches."""
        waited = sum(self.profiler.recorded_durations.get("[_TrainingEpochLoop].train_dataloader_next", ()))
        return min(1.0, waited / self._seconds) if self._seconds else 0.0


class Pictures(Callback):
    """At each validation, draws some held-out pictures: degraded, restored, clean; found and true mask."""

    def __init__(self, folder: Path, count: int, threshold: int) -> None:
        """Strips are written to `folder` as PNG, and to TensorBoard where that is a logger."""
        self.folder, self.count, self.threshold = folder, count, threshold

    def on_validation_batch_end(  # the trainer fixes the arguments
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, picture: Any, index: int, *rest: int
    ) -> None:
        """Draw some of the pictures, evenly spread over all."""
        every = -(-sum(trainer.num_val_batches) // self.count)  # rounded up
        if index % every or not trainer.is_global_zero:
            return
        assert isinstance(module, RestorationModule)
        strip = draw(picture, outputs["image"], outputs["mask"], self.threshold)
        step = module.config.steps_before(module.hparams["stage"]) + trainer.global_step
        name = picture.name.replace("/", "-")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_image(self.folder / f"{step:07d}-{name}.png", Picture(strip))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(picture.name, strip, step, dataformats="HWC")


def draw(picture: PicturePair | MaskedPhoto, image: Tensor, mask: Tensor, threshold: int) -> np.ndarray:
    """Degraded, restored and clean picture, found and true mask, side by side: uint8 [H, 4W or 5W, 3]."""
    restored = np.rint(image[0].permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)
    panels = [picture.degraded, restored]
    if isinstance(picture, PicturePair):
        panels.append(picture.clean)
    masks = (mask[0, 0].cpu().numpy() > 0, picture.find_truth(threshold))
    panels += [np.repeat(np.uint8(255) * part[..., None], 3, axis=2) for part in masks]
    return np.concatenate(panels, axis=1)
