"""Tensors as TensorRT lays them out, from and to [N,C,H,W]; the padding is whatever the caller asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.plugins.emulated.tensorrt import CHW32, HWC, HWC8, LINEAR

GROUPS = {HWC8: 8, CHW32: 32, HWC: 1}
"""Channels are padded to a multiple of this."""


def to_layout(x: np.ndarray, layout: int, padding: Any = 0) -> np.ndarray:
    """[N,C,H,W] as it lies in memory: [N,C,H,W], [N,H,W,C'] or [N,C'/32,H,W,32]."""
    if layout == LINEAR:
        return np.ascontiguousarray(x)
    short = -x.shape[1] % GROUPS[layout]
    filled = np.pad(x, ((0, 0), (0, short), (0, 0), (0, 0)), constant_values=padding)
    if layout == CHW32:
        n, c, h, w = filled.shape
        return np.ascontiguousarray(filled.reshape(n, c // 32, 32, h, w).transpose(0, 1, 3, 4, 2))
    return np.ascontiguousarray(filled.transpose(0, 2, 3, 1))


def empty_layout(shape: tuple[int, int, int, int], layout: int, dtype: Any, poison: Any) -> np.ndarray:
    """Memory for a tensor of [N,C,H,W] in a layout, all poison."""
    like = to_layout(np.zeros(shape, dtype), layout)
    return np.full(like.shape, poison, dtype)


def from_layout(memory: np.ndarray, layout: int, channels: int) -> np.ndarray:
    """[N,C,H,W] of what `to_layout` made, without the padding."""
    if layout == LINEAR:
        return memory
    if layout == CHW32:
        n, groups, h, w, _ = memory.shape
        return memory.transpose(0, 1, 4, 2, 3).reshape(n, groups * 32, h, w)[:, :channels]
    return memory.transpose(0, 3, 1, 2)[:, :channels]
