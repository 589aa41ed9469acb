"""Numbers into fewer bits: weights per output channel, and scales that every type can hold."""

from __future__ import annotations

import dataclasses

import numpy as np

LEVELS = 127
"""Steps on either side of zero; -128 is left out for weights, so that they are symmetric."""
SMALLEST_SCALE = 2.0**-20
"""Sixteen steps of a half's finest: a smaller scale would not survive as one."""
LARGEST_HALF = 65504.0
SMALLEST_HALF = 2.0**-25
"""What is not larger becomes zero as a half."""


def channel_axis(operator: str, transposed: bool = False) -> int:
    """The axis of the weights that output channels lie along; `transposed` is Gemm's transB."""
    if operator == "Gemm":
        return 0 if transposed else 1
    return {"MatMul": -1, "ConvTranspose": 1}.get(operator, 0)


def half_scale(largest: float) -> float:
    """The scale whose LEVELS steps reach `largest`, as a half; 1 where there is nothing to scale."""
    if largest <= 0.0:
        return 1.0
    scale = min(max(largest / LEVELS, SMALLEST_SCALE), LARGEST_HALF)
    return float(np.float16(scale))


@dataclasses.dataclass(frozen=True)
class QuantizedWeights:
    """Symmetric int8 weights."""

    values: np.ndarray
    """int8, -127..127, of the weights' shape."""
    scales: np.ndarray
    """[channels] float32, each a half."""
    axis: int
    """Which axis the scales lie along, not negative."""

    def restored(self) -> np.ndarray:
        """What they stand for, float32."""
        shape = [-1 if axis == self.axis else 1 for axis in range(self.values.ndim)]
        return self.values * self.scales.reshape(shape)


def quantize_weights(weights: np.ndarray, axis: int) -> QuantizedWeights:
    """Per channel, each from its own largest magnitude.

    Args:
        weights: float32, any shape of two axes or more.
        axis: of the output channels; negative counts from the end.
    """
    axis %= weights.ndim
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights).max(axis=others)
    scales = np.array([half_scale(float(value)) for value in largest], np.float32)
    shape = [-1 if i == axis else 1 for i in range(weights.ndim)]
    values = np.clip(np.rint(weights / scales.reshape(shape)), -LEVELS, LEVELS).astype(np.int8)
    return QuantizedWeights(values, scales, axis)
