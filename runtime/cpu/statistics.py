"""Statistics of a whole picture, and keys made of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..tiling.context import Context, ContextStatistics, Moments
from ..tiling.geometry import Box
from ..tiling.spec import SpairNetwork
from .library import Library, ThreadPool, structures
from .memory.maps import Map
from .program import AttendRows

LINES = 16
"""Lines of a part that is measured at once, as in plugins/masked_modulation/cpu.h."""
MOST_KEYS = 4096
"""Largest number of keys; their scores stand on the stack of a kernel."""


class KernelStatistics(ContextStatistics):
    """Accumulator of a `Context` that the kernels compute.

    The features of its blocks are views as of `Map.as_planes`.
    """

    def __init__(self, spec: SpairNetwork, height: int, width: int, library: Library, pool: ThreadPool) -> None:
        super().__init__(spec, height, width)
        self._library, self._pool = library, pool

    def measure(self, features: np.ndarray, mask: np.ndarray) -> tuple[Moments, Moments]:
        """Compute the moments of clean and of distorted pixels."""
        layout, mask = Map.of_planes(features), np.ascontiguousarray(mask).view(np.uint8)
        size = 1 + 2 * layout.channels
        parts = np.empty((-(-layout.height // LINES), 2, size))
        call = structures.MapMoments(layout.first, mask.ctypes.data, parts.ctypes.data)
        call.line, call.mask_line, call.height, call.width = layout.line, layout.width, layout.height, layout.width
        call.channels, call.stride = layout.channels, layout.stride
        self._library.call("measure_moments_f32", self._pool, call)
        return _merge_parts(parts[:, 0]), _merge_parts(parts[:, 1])

    def sum_cells(self, box: Box, mask: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sum up the clean features of each cell."""
        layout, mask = Map.of_planes(features), np.ascontiguousarray(mask).view(np.uint8)
        grid = self._spec.grid
        sums, counts = np.zeros((grid, grid, layout.channels)), np.zeros((grid, grid))
        call = structures.Keys(layout.first, mask.ctypes.data, sums.ctypes.data, counts.ctypes.data)
        call.line, call.mask_line, call.height, call.width = layout.line, layout.width, layout.height, layout.width
        call.channels, call.stride, call.grid = layout.channels, layout.stride, grid
        call.top, call.left = box.top, box.left
        call.full_height, call.full_width = self._key_size
        self._library.call("add_keys_f32", self._pool, call)
        return np.ascontiguousarray(sums.transpose(2, 0, 1)), counts


def _merge_parts(parts: np.ndarray) -> Moments:
    """Merge the moments of parts in their order.

    Args:
        parts: [n, 1 + 2 * C] float64, count, means and sums of squares of each.
    """
    middle = 1 + parts.shape[1] // 2
    merged = Moments.none(middle - 1)
    for count, mean, squares in zip(parts[:, 0].tolist(), parts[:, 1:middle], parts[:, middle:], strict=True):
        if count:
            merged = merged.merged(Moments(count, mean, squares))
    return merged


def project_keys(step: AttendRows, arrays: Mapping[str, np.ndarray], context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Project the clean keys of a picture, for an attention.

    Args:
        step: the attention.
        arrays: weights of the program.
        context: statistics of the whole picture.

    Returns:
        Keys [depth, n] and values [n, D], float32; n counts the cells with a clean pixel.

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
    return keys, values.T


def _in_steps(values: np.ndarray, step: float) -> np.ndarray:
    """Round to steps of int8, unless the step is 0."""
    return np.clip(np.rint(values / np.float32(step)), -128, 127) * np.float32(step) if step else values
