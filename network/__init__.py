"""SPAIR in PyTorch with its presets and checkpoints."""

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .errors import CheckpointError
from .presets import BASE, LARGE, PRESETS, TINY, Preset, find_preset
from .spair import SPAIR, Restored

__all__ = [
    "BASE",
    "LARGE",
    "PRESETS",
    "SPAIR",
    "TINY",
    "Checkpoint",
    "CheckpointError",
    "Preset",
    "Restored",
    "find_preset",
    "load_checkpoint",
    "save_checkpoint",
]
