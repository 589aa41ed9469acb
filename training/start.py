"""Weights with which a run starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..network import PRESETS, SPAIR, CheckpointError, Preset, load_checkpoint
from ..network.growth import describe_obstacle, grow
from ..network.revival import revive
from .config import TrainingConfig
from .data.corpus import Corpus
from .data.patches import PatchDataset
from .loop.terminal import say

SAMPLES = 64
"""Samples of a run on which a channel has to fire once, on one pixel, if it is not to be revived."""


def load_start(config: TrainingConfig, start: Path, *, progress: bool = True) -> dict[str, Tensor]:
    """Load the weights with which a run starts.

    Those of a smaller network are grown to the run's preset.

    Args:
        config: the run; its seed draws the filters of a grown network.
        start: checkpoint with the weights.
        progress: tell on the terminal that the network was grown.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, has another mask threshold than the run, or cannot grow
            to its preset.
    """
    model, preset = load_checkpoint(start).model, config.find_preset()
    threshold = model.preset.mask_threshold
    if config.mask_probability is None and threshold != preset.mask_threshold:
        raise CheckpointError(
            f"start = {start} marks pixels above {threshold}, the preset {preset.name!r} above "
            f"{preset.mask_threshold}; set mask_probability to the one or the other"
        )
    if obstacle := describe_obstacle(model.preset, preset):
        raise CheckpointError(
            f"start = {start} of the preset {model.preset.name!r} cannot grow to {preset.name!r}, which the run "
            f"trains: it is {obstacle}; {_advise(model.preset)}"
        )
    if dataclasses.replace(model.preset, name=preset.name, mask_threshold=preset.mask_threshold) == preset:
        return model.state_dict()
    if progress:
        say(f"start is preset {model.preset.name}; grown to {preset.name}")
    return grow(model, preset, seed=config.seed).state_dict()


def revive_start(model: SPAIR, config: TrainingConfig, corpus: Corpus, *, progress: bool = True) -> None:
    """Revive the channels of a start that never fire.

    The first samples of the run decide.

    Args:
        model: the network, which is changed.
        config: the run; its seed draws the new filters.
        corpus: pictures of the run.
        progress: tell on the terminal how many channels were revived.

    Raises:
        CheckpointError: the network marks no pixel in these samples.
    """
    patch = config.stages[0].patch
    data = PatchDataset(corpus, config.data, config.find_simulator(), patch, config.seed, first=0, count=SAMPLES)
    degraded = np.stack([data[i].degraded for i in range(SAMPLES)])
    try:
        revived = revive(model, torch.from_numpy(degraded).float() / 255.0, seed=config.seed)
    except ValueError as error:
        raise CheckpointError(
            f"start = {config.start} marks no pixel in the first {SAMPLES} samples of the run, so that revive = true "
            "cannot tell which channels fire; set it to false, or start from a checkpoint of the same task"
        ) from error
    if progress:
        layers = ", ".join(f"{count} of {name}" for name, count in revived.items())
        say(f"revived {sum(revived.values())} channels of start that never fired{layers and f': {layers}'}")


def _advise(start: Preset) -> str:
    """Say how to mend a start that does not grow."""
    fitting = [name for name, preset in PRESETS.items() if not describe_obstacle(start, preset)]
    presets = f"set preset to {' or '.join(map(repr, fitting))}, or " if fitting else ""
    return f"{presets}start from another checkpoint"
