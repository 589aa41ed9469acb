"""Runs of training configurations.

An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from ..network import SPAIR, load_checkpoint, save_checkpoint
from ..runtime.errors import UserError
from ..runtime.files import write_atomically
from .config import TrainingConfig
from .data.corpus import Corpus, load_corpus
from .loop.callbacks import PACE, AveragedCheckpoint, Clock, Durations, Pace, Pictures
from .loop.cpu import has_matrix_tiles, keep_freed_memory
from .loop.interruption import Interruption
from .loop.module import PatchModule, RestorationModule
from .loop.state import STATE, AtomicCheckpointIO, State, check_unchanged, read_run_state
from .loop.terminal import StageBar, counting_pictures, describe_start, is_first, quiet, say
from .self_evaluation import are_scores_due, await_scores, evaluate_held_out, read_scores
from .start import load_start, revive_start


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices on which a run computes.

    Several devices or nodes work through the trainer's DistributedDataParallel.
    """

    accelerator: str = "auto"
    """Kind of device: "cpu", "gpu" or "auto"."""
    count: int = 1
    """Devices per node."""
    nodes: int = 1
    """Machines."""
    threads: int | None = None
    """CPU threads of each process; None leaves PyTorch's choice."""

    @property
    def processes(self) -> int:
        """Number of processes, one per device."""
        return self.count * self.nodes


def train(
    config: TrainingConfig, out: str | os.PathLike[str], *, progress: bool = True, devices: Devices | None = None
) -> dict[str, Any]:
    """Train all stages of a configuration.

    Args:
        config: the run.
        out: folder for `<name>/<name>.safetensors`, resumable state, logs, pictures and scores; an interrupted run
            continues from it, a finished one is only reported. In paths of the configuration it is `${runs}`.
        progress: show on the terminal what is trained on, and a progress bar.
        devices: where to compute; by default one GPU if there is one, else the CPU.

    Returns:
        {"checkpoint", "steps", "scores", "held_out", "steps_per_second", "data_share", "rank"}: the weights' path; the
        optimizer steps of all stages; the last losses and, where pictures are held out, the last validation's measures;
        what `read_scores` returns; the pace of the last stage that this call trained, None where it trained none; the
        number of this process.

    Raises:
        UserError: the data is unusable (see `load_corpus`), the folder holds a run of another configuration, a batch
            cannot be split evenly over the devices, there are fewer GPUs than asked for, or what compiles is missing.
        FloatingPointError: the loss became NaN or infinite; the state of the last epoch and the batch are kept.
        KeyboardInterrupt: Ctrl-C; the state of the last epoch is kept.
        SystemExit: with `interruption.TERMINATED`, after a SIGTERM; likewise.
    """
    out, devices = Path(out), devices or Devices()
    _check_batches(config, devices)
    _check_gpus(devices)
    _check_compiler(config, devices)
    if devices.threads:
        torch.set_num_threads(devices.threads)
    config, folder = config.in_folder(out), out / config.name
    weights = folder / f"{config.name}.safetensors"
    state = read_run_state(folder / STATE)
    if state is not None:
        check_unchanged(config, state, folder)
    pace: Pace | None = None
    if not _is_over(config, state) or are_scores_due(folder):
        corpus = _read_corpus(config, progress)
        if progress and not _is_over(config, state):
            say(describe_start(config, corpus, state))
        if corpus.held_out and is_first():
            await_scores(folder)
        while not _is_over(config, state):
            pace = _train_stage(config, folder, corpus, state, devices, progress)
            state = read_run_state(folder / STATE)
        if corpus.held_out and is_first():
            _evaluate(config, corpus, folder, devices, progress)
    assert state is not None
    return _report(config, state, folder, weights, pace)


def _read_corpus(config: TrainingConfig, progress: bool) -> Corpus:
    patch = max(stage.patch for stage in config.stages)
    with counting_pictures(progress) as count:
        memory = config.hardware.memory_gb * 1e9
        return load_corpus(config.data, patch, memory, simulator=config.find_simulator(), progress=count)


def _evaluate(config: TrainingConfig, corpus: Corpus, folder: Path, devices: Devices, progress: bool) -> None:
    """Score the averaged weights on the held-out pairs."""
    if progress:
        say(f"evaluating on {len(corpus.held_out)} held-out pictures")
    device = "cuda" if devices.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    evaluate_held_out(
        _average(config, folder).to(device),
        corpus.held_out,
        config.task,
        folder,
        pictures=config.log.pictures,
        threshold=config.data.mask_threshold,
    )


def _is_over(config: TrainingConfig, state: State | None) -> bool:
    return state is not None and _stage_is_over(config, state) and state.stage == len(config.stages) - 1


def _stage_is_over(config: TrainingConfig, state: State) -> bool:
    return state.steps >= config.stages[state.stage].steps


def _train_stage(
    config: TrainingConfig, folder: Path, corpus: Corpus, state: State | None, devices: Devices, progress: bool
) -> Pace:
    """Train the stage that is due.

    It is the stage under way, or the one after it where that is over, or the first of a new run.
    """
    begun = state is not None and not _stage_is_over(config, state)
    index = 0 if state is None else state.stage if begun else state.stage + 1
    L.seed_everything(config.seed + index, verbose=False)
    module = RestorationModule(config, index)
    hours = 0.0
    if state is None and (start := config.locate_start()) is not None:
        module.model.load_state_dict(load_start(config, start, progress=progress))
        if config.revive:
            revive_start(module.model, config, corpus, progress=progress)
    if state is not None and not begun:
        module.model.load_state_dict(_average(config, folder).state_dict())
        hours = state.callbacks[Clock.__name__]["hours"]
    pace, interruption = Pace(Durations()), Interruption()
    weights = folder / f"{config.name}.safetensors"
    callbacks = [*_callbacks(config, folder, weights, hours), pace, interruption]
    if progress:
        callbacks.append(StageBar(config, index))
    with quiet(), interruption.listening():
        trainer = _trainer(config, folder, callbacks, state if begun else None, index, corpus, devices, pace)
        if trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        trainer.fit(
            module,
            datamodule=PatchModule(config, corpus, index),
            ckpt_path=folder / STATE if begun else None,
            weights_only=True,
        )
    if trainer.is_global_zero:
        _keep_stage(weights, f"{index}-{config.stages[index].train}")
    return pace


def _callbacks(config: TrainingConfig, folder: Path, weights: Path, hours: float) -> list[Callback]:
    """Make the callbacks that write files.

    `hours` is the time that the stages before took.
    """
    callbacks: list[Callback] = [AveragedCheckpoint(weights, config.schedule.ema, clock := Clock(hours)), clock]
    if config.log.pictures:
        callbacks.append(Pictures(folder / "pictures", config.log.pictures, config.data.mask_threshold))
    return callbacks


def _keep_stage(weights: Path, stage: str) -> None:
    """Copy the weights with which a stage ended.

    A later stage that does harm can then be left out.
    """
    kept = weights.parent / "stages" / f"{stage}.safetensors"
    kept.parent.mkdir(exist_ok=True)
    write_atomically(kept, weights.read_bytes())


def _average(config: TrainingConfig, folder: Path) -> SPAIR:
    """Load the averaged weights of the last state."""
    model = SPAIR(config.find_preset())  # a state does not say its mask threshold
    model.load_state_dict(load_checkpoint(folder / STATE, preset=config.preset).model.state_dict())
    return model.eval()


def _report(config: TrainingConfig, state: State, folder: Path, weights: Path, pace: Pace | None) -> dict[str, Any]:
    """Report a run that is over.

    Its weights are written again if they were removed.
    """
    training = state.callbacks.get(AveragedCheckpoint.__name__, {}).get("training", {})
    if not weights.is_file():
        save_checkpoint(_average(config, folder), weights, task=config.task, training=json.dumps(training))
    return {
        "checkpoint": str(weights),
        "steps": config.steps_before(state.stage) + state.steps,
        "scores": {name: value for name, value in training.get("scores", {}).items() if name not in PACE},
        "held_out": read_scores(folder),
        "steps_per_second": pace.steps_per_second if pace else None,
        "data_share": pace.data_share if pace else None,
        "rank": rank_zero_only.rank or 0,  # type: ignore[attr-defined]
    }


def _check_batches(config: TrainingConfig, devices: Devices) -> None:
    for index, stage in enumerate(config.stages):
        if stage.batch % devices.processes:
            raise UserError(
                f"stages.{index}.batch = {stage.batch} cannot be split evenly over {devices.processes} devices; "
                "make it a multiple, or train on fewer devices"
            )
        if stage.stray_masks and stage.batch // devices.processes < 2:
            raise UserError(
                f"stages.{index}.stray_masks = {stage.stray_masks} takes masks of other samples, but a device has only "
                "one; raise batch, train on fewer devices, or set it to 0"
            )


def _check_gpus(devices: Devices) -> None:
    found = max(CUDAAccelerator.auto_device_count(), int(MPSAccelerator.is_available()))
    wanted = devices.accelerator == "gpu" or (devices.accelerator == "auto" and found)
    if wanted and found < devices.count:
        raise UserError(
            f"{devices.count} GPUs were asked for, but PyTorch finds {found} on this machine; give fewer devices, "
            'or "cpu" as the accelerator'
        )


def _check_compiler(config: TrainingConfig, devices: Devices) -> None:
    on_gpu = devices.accelerator != "cpu" and torch.cuda.is_available()
    if config.hardware.compile and on_gpu and importlib.util.find_spec("triton") is None:
        raise UserError(
            "hardware.compile = true needs the package triton, which PyTorch for CUDA brings along on Linux, but it is "
            "not installed; install it, or set compile = false"
        )


def _trainer(
    config: TrainingConfig,
    folder: Path,
    callbacks: list[Callback],
    state: State | None,
    index: int,
    corpus: Corpus,
    devices: Devices,
    pace: Pace,
) -> L.Trainer:
    schedule, stage = config.schedule, config.stages[index]
    steps, epochs = (state.steps, state.epochs) if state is not None else (0, 0)
    epochs_left = -((steps - stage.steps) // schedule.epoch)  # rounded up
    keep = ModelCheckpoint(
        folder / STATE.parent, STATE.stem, every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    validates = corpus.held_out or (corpus.held_out_masked and stage.train != "net_r")
    return L.Trainer(
        accelerator=devices.accelerator,
        devices=devices.count,
        num_nodes=devices.nodes,
        strategy="ddp" if devices.processes > 1 else "auto",
        use_distributed_sampler=False,  # PatchDataset hands each process its share of a batch
        precision=_precision(config.hardware.precision, devices.accelerator),  # type: ignore[arg-type]
        max_epochs=epochs + epochs_left,  # not max_steps: with it the trainer skips the first epoch after a resume
        check_val_every_n_epoch=schedule.validate_every,
        limit_val_batches=None if validates else 0,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=schedule.clip,
        callbacks=[*callbacks, keep],
        plugins=[AtomicCheckpointIO()],
        logger=_loggers(config, folder, index),
        log_every_n_steps=min(config.log.every, schedule.epoch),
        num_sanity_val_steps=0,
        enable_progress_bar=any(isinstance(callback, StageBar) for callback in callbacks),
        enable_model_summary=False,
        profiler=pace.profiler,
        default_root_dir=folder,
    )


def _precision(wanted: str, accelerator: str) -> str:
    """Return Lightning's name of the precision.

    "auto" is mixed on a GPU and on a CPU that multiplies bfloat16 in tiles.
    """
    if wanted != "auto":
        return wanted
    if accelerator == "cpu" or not torch.cuda.is_available():
        return "bf16-mixed" if has_matrix_tiles() else "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def _loggers(config: TrainingConfig, folder: Path, index: int) -> list[Logger]:
    """Make the loggers, with one folder per stage.

    A resumed run adds a version.
    """
    name = f"{index}-{config.stages[index].train}"
    loggers: list[Logger] = []
    if "csv" in config.log.to:
        loggers.append(CSVLogger(folder / "log", name=name))
    if "tensorboard" in config.log.to:
        loggers.append(TensorBoardLogger(folder / "tensorboard", name=name))
    return loggers
