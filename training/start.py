"""Weights with which a run starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import Tensor

from ..network import PRESETS, CheckpointError, Preset, load_checkpoint
from ..network.growth import describe_obstacle, grow
from .config import TrainingConfig
from .loop.terminal import say


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


def _advise(start: Preset) -> str:
    """Say how to mend a start that does not grow."""
    fitting = [name for name, preset in PRESETS.items() if not describe_obstacle(start, preset)]
    presets = f"set preset to {' or '.join(map(repr, fitting))}, or " if fitting else ""
    return f"{presets}start from another checkpoint"
