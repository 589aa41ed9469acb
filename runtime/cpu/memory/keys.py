"""Keys and values of attention, ordered for the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...tiling.context import Context
from ..library import Library
from ..program import AttendRows
from .layers import round_channels

MOST_KEYS = 4096
"""Largest number of keys; their scores stand on the stack of a kernel."""
_BARRED = -1e30
"""Score of the places behind the last key."""
_VECTOR = 16
"""Values of the longest vector, which kernels may read behind an array."""


@dataclass(frozen=True)
class PackedKeys:
    """Clean keys of a picture, and their values."""

    keys: np.ndarray
    """Packed [depth, count], and keys of zero up to a whole vector."""
    values: np.ndarray
    """Packed [count, width]."""
    barred: np.ndarray
    """Amounts that are added to the scores, 0 at keys."""
    zeros: np.ndarray
    """Zeros, with which the sums of values begin."""
    depth: int
    count: int
    width: int
    """Channels of a value in memory."""


def pack_keys(library: Library, step: AttendRows, arrays: Mapping[str, np.ndarray], context: Context) -> PackedKeys:
    """Project the clean keys and pack them.

    Args:
        library: gives the order.
        step: the attention.
        arrays: weights of the program.
        context: statistics of the whole picture.

    Raises:
        ValueError: there are too many keys.
    """
    clean = context.key_mask.reshape(-1) > 0
    if clean.size > MOST_KEYS:
        raise ValueError(f"the layer {step.name} has {clean.size} keys, expected at most {MOST_KEYS}")
    features = context.keys[0].reshape(context.keys.shape[1], -1)[:, clean]
    keys, values = (
        arrays[weight][:, :, 0, 0] @ _in_steps(features, size) + arrays[bias][:, None]
        for weight, bias, size in (
            (step.key_weight, step.key_bias, step.key_step),
            (step.value_weight, step.value_bias, step.value_step),
        )
    )
    depth, count = keys.shape
    width = round_channels(len(values))
    barred = np.full(count + 2 * _VECTOR, _BARRED, np.float32)
    barred[:count] = 0.0
    whole = -(-count // library.lanes) * library.lanes  # kernels compute the scores of whole vectors
    return PackedKeys(
        keys=library.pack(_widened(keys, whole)),
        values=library.pack(_widened(values.T, width)),
        barred=barred,
        zeros=np.zeros(width + _VECTOR, np.float32),
        depth=depth,
        count=count,
        width=width,
    )


def _in_steps(values: np.ndarray, step: float) -> np.ndarray:
    """Round to steps of int8, unless the step is 0."""
    return np.clip(np.rint(values / np.float32(step)), -128, 127) * np.float32(step) if step else values


def _widened(values: np.ndarray, width: int) -> np.ndarray:
    wide = np.zeros((values.shape[0], width), np.float32)
    wide[:, : values.shape[1]] = values
    return wide
