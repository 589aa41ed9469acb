"""Run a training configuration to its end, resuming where an interrupted run stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import TorchCheckpointIO

from ..network import save_checkpoint
from .config import TrainingConfig
from .corpus import load_corpus
from .module import PatchModule, RestorationModule

STATE = Path("state") / "last.ckpt"
"""Where, inside a run's folder, the trainer's own state lies."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces the state in one step, so that a run killed while saving still has the previous one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside `path`, then rename."""
        temporary = Path(f"{path}.tmp")
        super().save_checkpoint(checkpoint, temporary, storage_options)
        temporary.replace(path)


class SaveWeights(Callback):
    """Writes the averaged weights as a deployable checkpoint whenever they were validated."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The averaging callback has its weights in place during validation."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        assert isinstance(module, RestorationModule)
        scores = {name: round(float(value), 4) for name, value in trainer.callback_metrics.items()}
        training = {
            "config": module.config.model_dump(mode="json"),
            "step": trainer.global_step,
            "scores": scores,
        }
        save_checkpoint(module.model, self.path, task=module.config.task, training=json.dumps(training))


def train(config: TrainingConfig, out: Path, *, progress: bool = True, threads: int | None = None) -> dict[str, Any]:
    """Train to the configured number of steps.

    Args:
        config: the run.
        out: folder for `<name>.safetensors`, resumable state and logs; an interrupted run continues from it.
        progress: show a progress bar on the terminal.
        threads: CPU threads of the arithmetic; None leaves PyTorch's choice.

    Returns:
        {"checkpoint", "steps", "scores"}: the weights' path, the steps done and the last validation's measures.

    Raises:
        UserError: the data is unusable (see `load_corpus`).
        FloatingPointError: the loss became NaN or infinite; the state of the last epoch is kept.
    """
    if threads:
        torch.set_num_threads(threads)
    corpus = load_corpus(config.data, config.schedule.patch)
    L.seed_everything(config.seed, verbose=False)
    folder = out / config.name
    weights = folder / f"{config.name}.safetensors"
    trainer = _trainer(config, folder, weights, progress)
    last = folder / STATE
    trainer.fit(
        RestorationModule(config),
        datamodule=PatchModule(config, corpus),
        ckpt_path=last if last.is_file() else None,
        weights_only=False,  # our own file: it holds the trainer's loop state beside tensors
    )
    scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {"checkpoint": str(weights), "steps": trainer.global_step, "scores": scores}


def _trainer(config: TrainingConfig, folder: Path, weights: Path, progress: bool) -> L.Trainer:
    schedule = config.schedule
    epochs = -(-schedule.steps // schedule.epoch)
    callbacks: list[Callback] = [
        EMAWeightAveraging(decay=schedule.ema),
        SaveWeights(weights),
        ModelCheckpoint(
            folder / STATE.parent,
            STATE.stem,
            every_n_epochs=1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
    ]
    if progress:
        callbacks.append(RichProgressBar())
    return L.Trainer(
        max_epochs=epochs,  # not max_steps: with it the trainer skips the first epoch after a resume
        check_val_every_n_epoch=min(schedule.validate_every, epochs),
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=schedule.clip,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        logger=CSVLogger(folder, name="log"),
        log_every_n_steps=min(50, schedule.epoch),
        num_sanity_val_steps=0,
        enable_progress_bar=progress,
        enable_model_summary=False,
        default_root_dir=folder,
    )
