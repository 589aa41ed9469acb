"""Keys and values of attention, ordered for the kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..library import Library
from .layers import round_channels

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


def pack_keys(library: Library, keys: np.ndarray, values: np.ndarray) -> PackedKeys:
    """Pack keys and values.

    Args:
        library: gives the order.
        keys: [depth, count] float32.
        values: [count, D] float32.
    """
    depth, count = keys.shape
    width = round_channels(values.shape[1])
    barred = np.full(count + 2 * _VECTOR, _BARRED, np.float32)
    barred[:count] = 0.0
    whole = -(-count // library.lanes) * library.lanes  # kernels compute the scores of whole vectors
    return PackedKeys(
        keys=library.pack(_widened(keys, whole)),
        values=library.pack(_widened(values, width)),
        barred=barred,
        zeros=np.zeros(width + _VECTOR, np.float32),
        depth=depth,
        count=count,
        width=width,
    )


def _widened(values: np.ndarray, width: int) -> np.ndarray:
    wide = np.zeros((values.shape[0], width), np.float32)
    wide[:, : values.shape[1]] = values
    return wide
