"""Quantization of weights per output channel.

All scales are halves, so that every type can hold them.
"""

from __future__ import annotations

import dataclasses

import numpy as np

LEVELS = 127
"""Number of int8 steps on each side of zero; -128 is left out, so that the steps are symmetric."""
SMALLEST_SCALE = 2.0**-20
"""Smallest scale, 16 times the smallest positive half; rounding to a half would distort a smaller one."""
LARGEST_HALF = 65504.0
"""Largest finite half."""
SMALLEST_HALF = 2.0**-25
"""Largest magnitude that becomes zero as a half."""


def channel_axis(operator: str, transposed: bool = False) -> int:
    """Return the axis of the output channels in weights.

    Args:
        operator: name of the ONNX operator.
        transposed: attribute transB of a Gemm.
    """
    if operator == "Gemm":
        return 0 if transposed else 1
    return {"MatMul": -1, "ConvTranspose": 1}.get(operator, 0)


def half_scale(largest: float) -> float:
    """Return the scale whose LEVELS steps reach a magnitude.

    Args:
        largest: largest magnitude.

    Returns:
        A scale that a half holds; 1 if `largest` is 0.
    """
    if largest <= 0.0:
        return 1.0
    scale = min(max(largest / LEVELS, SMALLEST_SCALE), LARGEST_HALF)
    return float(np.float16(scale))


@dataclasses.dataclass(frozen=True)
class QuantizedWeights:
    """Symmetric int8 weights."""

    values: np.ndarray
    """int8 in the shape of the weights, -127..127."""
    scales: np.ndarray
    """[channels] float32, each of which a half can hold."""
    axis: int
    """Index of the channel axis, not negative."""

    def restored(self) -> np.ndarray:
        """Return the float32 weights that the steps stand for."""
        shape = [-1 if axis == self.axis else 1 for axis in range(self.values.ndim)]
        return self.values * self.scales.reshape(shape)


def quantize_weights(weights: np.ndarray, axis: int) -> QuantizedWeights:
    """Quantize weights by the largest magnitude of each channel.

    Args:
        weights: float32, any shape of two axes or more.
        axis: axis of the output channels; a negative one counts from the end.
    """
    axis %= weights.ndim
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights).max(axis=others)
    scales = np.array([half_scale(float(value)) for value in largest], np.float32)
    shape = [-1 if i == axis else 1 for i in range(weights.ndim)]
    values = np.clip(np.rint(weights / scales.reshape(shape)), -LEVELS, LEVELS).astype(np.int8)
    return QuantizedWeights(values, scales, axis)
