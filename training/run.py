"""Run a training configuration to its end, resuming where an interrupted run stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger

from ..network import load_checkpoint, save_checkpoint
from .callbacks import AveragedCheckpoint, Clock
from .config import TrainingConfig
from .corpus import Corpus, load_corpus
from .module import PatchModule, RestorationModule
from .state import STATE, AtomicCheckpointIO, State, check_unchanged, read_state


def train(config: TrainingConfig, out: Path, *, progress: bool = True, threads: int | None = None) -> dict[str, Any]:
    """Train to the configured number of steps.

    Args:
        config: the run.
        out: folder for `<name>/<name>.safetensors`, resumable state and logs; an interrupted run continues from it,
            a finished one is only reported.
        progress: show a progress bar on the terminal.
        threads: CPU threads of the arithmetic; None leaves PyTorch's choice.

    Returns:
        {"checkpoint", "steps", "scores"}: the weights' path, the steps done, the last losses and, where pairs are held
        out, the last validation's measures.

    Raises:
        UserError: the data is unusable (see `load_corpus`), or the folder holds a run of another configuration.
        FloatingPointError: the loss became NaN or infinite; the state of the last epoch and the batch are kept.
        KeyboardInterrupt: Ctrl-C; the state of the last epoch is kept.
    """
    if threads:
        torch.set_num_threads(threads)
    folder = out / config.name
    weights = folder / f"{config.name}.safetensors"
    state = read_state(folder / STATE)
    if state is not None:
        check_unchanged(config, state, folder)
        if state.steps >= config.schedule.steps:
            return _finished(config, state, folder, weights)
    corpus = load_corpus(config.data, config.schedule.patch)
    L.seed_everything(config.seed, verbose=False)
    averaged = AveragedCheckpoint(weights, config.schedule.ema, clock := Clock())
    trainer = _trainer(config, folder, [averaged, clock], state, corpus, progress)
    with _interruptible():
        trainer.fit(
            RestorationModule(config),
            datamodule=PatchModule(config, corpus),
            ckpt_path=folder / STATE if state is not None else None,
            weights_only=True,
        )
    return {"checkpoint": str(weights), "steps": trainer.global_step, "scores": averaged.training["scores"]}


def _finished(config: TrainingConfig, state: State, folder: Path, weights: Path) -> dict[str, Any]:
    """The report of a run that is over; its weights are written again if somebody removed them."""
    training = state.callbacks.get(AveragedCheckpoint.__name__, {}).get("training", {})
    if not weights.is_file():
        average = load_checkpoint(folder / STATE, preset=config.preset).model
        save_checkpoint(average, weights, task=config.task, training=json.dumps(training))
    return {"checkpoint": str(weights), "steps": state.steps, "scores": training.get("scores", {})}


def _trainer(
    config: TrainingConfig, folder: Path, callbacks: list[Callback], state: State | None, corpus: Corpus, progress: bool
) -> L.Trainer:
    schedule = config.schedule
    steps, epochs = (state.steps, state.epochs) if state is not None else (0, 0)
    epochs_left = -((steps - schedule.steps) // schedule.epoch)  # rounded up
    keep = ModelCheckpoint(
        folder / STATE.parent, STATE.stem, every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    return L.Trainer(
        max_epochs=epochs + epochs_left,  # not max_steps: with it the trainer skips the first epoch after a resume
        check_val_every_n_epoch=schedule.validate_every,
        limit_val_batches=None if corpus.held_out else 0,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=schedule.clip,
        callbacks=[*callbacks, keep, *([RichProgressBar()] if progress else [])],
        plugins=[AtomicCheckpointIO()],
        logger=CSVLogger(folder, name="log"),
        log_every_n_steps=min(50, schedule.epoch),
        num_sanity_val_steps=0,
        enable_progress_bar=progress,
        enable_model_summary=False,
        default_root_dir=folder,
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning makes SystemExit(1) of Ctrl-C; this makes it Ctrl-C again."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
