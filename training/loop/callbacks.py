"""Callbacks that save averaged weights, measure time and draw pictures."""

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
    """Wall time trained, over all resumptions.

    An epoch that was cut off is repeated after a resume; its first attempt does not count.
    """

    def __init__(self, before: float = 0.0) -> None:
        """Start from the hours of the stages before this one."""
        self._before = 3600.0 * before
        self._started: float | None = None

    @property
    def hours(self) -> float:
        """Return the hours so far."""
        running = monotonic() - self._started if self._started is not None else 0.0
        return (self._before + running) / 3600.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock.

        The trainer calls this once per process, after the state was loaded.
        """
        self._started = monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Save the hours, from which the next process starts."""
        return {"hours": self.hours}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the hours of earlier processes."""
        self._before = 3600.0 * state_dict["hours"]


class AveragedCheckpoint(WeightAveraging):
    """Average of the weights over the steps, validated and saved.

    The average is written as a deployable checkpoint. That happens every `check_val_every_n_epoch` epochs and after the
    last one, each time after the validation.
    """

    def __init__(self, path: Path, decay: float, clock: Clock) -> None:
        # this function interpolates, so the average of frozen weights equals them exactly
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.path, self.clock = path, clock
        self.training: dict[str, Any] = {}
        """Facts about the training that the last checkpoint holds."""

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Make sure that the last epoch is validated.

        Its number need not be a multiple of `check_val_every_n_epoch`.
        """
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the weights where a validation was due.

        This also happens when there are no pictures to validate on.
        """
        super().on_train_epoch_end(trainer, pl_module)
        every = trainer.check_val_every_n_epoch
        assert every is not None
        if trainer.is_global_zero and (trainer.current_epoch + 1) % every == 0:
            self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        """Write the averaged weights with facts about the training."""
        assert self._average_model is not None
        average = self._average_model.module  # a copy; the module that trains has its own weights back
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
        """Save the average and the facts of the last checkpoint.

        With these facts a run that is over still knows its scores.
        """
        return {**super().state_dict(), "training": self.training}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the average of earlier processes."""
        super().load_state_dict(state_dict)
        self.training = state_dict["training"]


class Durations(SimpleProfiler):
    """Trainer's own record of its times, without the final table."""

    def describe(self) -> None:
        """Print nothing.

        `Pace` reports the times that matter.
        """


PACE = ("steps_per_second", "data_share")
"""Names of the values that `Pace` logs; they are not scores."""


class Pace(Callback):
    """Speed of training in this process.

    It is given as steps per second and as the share of the time in which a step waited for its batch.
    """

    def __init__(self, profiler: Durations) -> None:
        """Take the trainer's profiler.

        It knows the time spent waiting for the loader.
        """
        self.profiler = profiler
        self._steps, self._seconds, self._started = 0, 0.0, 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock.

        It runs while batches are trained on, not while the weights are saved and validated.
        """
        self._started = monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *rest: Any) -> None:
        """Count the step, and log the values every ten steps."""
        now = monotonic()
        self._seconds += now - self._started
        self._started = now
        self._steps += 1
        if self._steps % 10 == 0:
            module.log_dict({name: getattr(self, name) for name in PACE}, prog_bar=True)

    @property
    def steps_per_second(self) -> float:
        """Return the mean since the process began to train.

        It is 0 before the first step.
        """
        return self._steps / self._seconds if self._seconds else 0.0

    @property
    def data_share(self) -> float:
        """Return the share of that time spent waiting, 0..1.

        A step waits for its batch.
        """
        waited = sum(self.profiler.recorded_durations.get("[_TrainingEpochLoop].train_dataloader_next", ()))
        return min(1.0, waited / self._seconds) if self._seconds else 0.0


class Pictures(Callback):
    """Strips of held-out pictures, drawn at each validation.

    `draw` makes a strip.
    """

    def __init__(self, folder: Path, count: int, threshold: int) -> None:
        """Set the place and number of strips.

        Args:
            folder: receives the strips as PNG; TensorBoard receives them too where it is a logger.
            count: pictures drawn in each validation.
            threshold: levels of 255 above which a pixel of a pair without a mask file is distorted.
        """
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
    """Draw one held-out picture as a strip of panels.

    They are the degraded, the restored and (if known) the clean picture, the found and the true mask.

    Returns:
        uint8 [H, 4W or 5W, 3].
    """
    restored = np.rint(image[0].permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)
    panels = [picture.degraded, restored]
    if isinstance(picture, PicturePair):
        panels.append(picture.clean)
    masks = (mask[0, 0].cpu().numpy() > 0, picture.find_truth(threshold))
    panels += [np.repeat(np.uint8(255) * part[..., None], 3, axis=2) for part in masks]
    return np.concatenate(panels, axis=1)
