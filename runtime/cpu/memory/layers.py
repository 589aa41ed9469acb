"""Weights in the order of the kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..library import Library
from ..library.structures import Factors, RowConvolution
from .forms import FLOAT, Form, to_halves

STEP = 8
"""Number that the channels of every row and map are rounded up to a multiple of."""
_BIAS_STEP = 16
"""Number of values, a vector of AVX-512, that a bias is filled up to a multiple of."""


def round_channels(count: int) -> int:
    """Return the channels that so many take in memory."""
    return -(-count // STEP) * STEP


@dataclass(frozen=True)
class Weights:
    """Weights of a convolution as a program has them."""

    weight: np.ndarray
    """[D, C, k, k] float32, or int8 where the layer reads steps of int8."""
    bias: np.ndarray
    """[D] float32."""
    form: Form = FLOAT
    """Form in which the layer reads values."""
    scales: np.ndarray | None = None
    """[D] float32, factors of the int8 weights."""

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: they do not.
        """
        steps = self.form.kind == "i8"
        if steps != (self.weight.dtype == np.int8) or steps != (self.scales is not None):
            raise ValueError(f"weights of {self.weight.dtype} are read with values of {self.form.kind}")
        sizes = {len(self.weight), len(self.bias), len(self.bias if self.scales is None else self.scales)}
        if len(sizes) != 1:
            raise ValueError(f"a layer has weights {self.weight.shape} and {len(self.bias)} biases")


@dataclass(frozen=True)
class Layer:
    """Convolution as the kernels read it."""

    weight: np.ndarray
    """Packed weights, see `Library.pack_layer`."""
    bias: np.ndarray
    """Biases and zeros behind them."""
    scale: np.ndarray
    """Values of a step of the sums of int8, and zeros behind them."""
    above: np.ndarray
    """Amounts that the number for zero adds to the sums, see `Library.pack_layer`."""
    form: Form
    """Form of the values that it reads."""
    inputs: int
    """Channels that a tap reads."""
    outputs: int
    """Channels of a result in memory, a multiple of `STEP`."""
    kernel: int
    """Side in pixels."""
    channels: int
    """Channels of the result that carry values; of each position, where it is folded."""
    tap_bias: np.ndarray | None = None
    """[STEP] biases of a layer that is computed by taps, see `pack_taps`; None for others."""

    @property
    def width(self) -> int:
        """Channels of a row of results in memory."""
        return self.outputs if self.tap_bias is None else STEP

    def describe_factors(self) -> Factors:
        """Describe the factors to a kernel."""
        return Factors(self.bias.ctypes.data, self.scale.ctypes.data, self.above.ctypes.data)

    def describe_rows(self, slope: float) -> RowConvolution:
        """Describe a convolution of rows, without its rows.

        Args:
            slope: factor of negative results.
        """
        call = RowConvolution(None, self.weight.ctypes.data, self.describe_factors())
        call.inputs, call.outputs, call.kernel, call.slope = self.inputs, self.outputs, self.kernel, slope
        return call


def pack_rows(library: Library, given: Weights, *, folded: bool = False) -> Layer:
    """Pack a convolution of rows.

    Args:
        library: gives the order.
        given: the weights.
        folded: put the 4 positions of a pixel shuffle one after the other, each rounded up to `STEP` channels.
    """
    outputs, inputs, kernel = given.weight.shape[:3]
    channels = outputs // 4 if folded else outputs
    step = round_channels(channels)
    places = [position * step + c for c in range(channels) for position in range(4)] if folded else range(outputs)
    full = step * (4 if folded else 1)
    taps = _place(given.weight, np.asarray(places), full).transpose(2, 3, 1, 0).reshape(kernel * kernel, inputs, full)
    return _pack(library, given, np.asarray(places), taps, inputs, channels)


def fits_taps(given: Weights) -> bool:
    """Tell whether `pack_taps` takes a layer."""
    return given.weight.shape[2] == 3 and len(given.weight) < STEP and given.scales is None


def pack_taps(library: Library, given: Weights) -> Layer:
    """Pack a convolution of few outputs by taps.

    The 9 taps stand side by side as outputs of a kernel of 1, so that they share vectors that one of them would leave
    nearly empty. The shares of the neighbours are added up afterwards.

    Args:
        library: gives the order.
        given: weights that `fits_taps` agrees to.
    """
    outputs, inputs = given.weight.shape[:2]
    taps = np.zeros((1, inputs, round_channels(9 * outputs)), np.float32)
    taps[0, :, : 9 * outputs] = given.weight.transpose(1, 2, 3, 0).reshape(inputs, -1)
    bias = np.zeros(STEP, np.float32)
    bias[:outputs] = given.bias
    without = Weights(np.zeros((taps.shape[2], 1, 1, 1), np.float32), np.zeros(taps.shape[2], np.float32), given.form)
    layer = _pack(library, without, np.arange(taps.shape[2]), taps, inputs, outputs)
    return replace(layer, tap_bias=bias)


def pack_map(library: Library, given: Weights, stride: int) -> Layer:
    """Pack a convolution of a map.

    Args:
        library: gives the order.
        given: the weights.
        stride: channels of the map in memory, >= C.
    """
    count = len(given.bias)
    return _pack_lines(library, given, stride, np.arange(count), round_channels(count), count)


def pack_head(library: Library, given: Weights, stride: int) -> Layer:
    """Pack the last layer of Net_L.

    The results are the features of each of the 4 positions, rounded up to `STEP`, then the 4 logits.

    Args:
        library: gives the order.
        given: the weights, [4 * (1 + F), C, k, k], see `FindMask`.
        stride: channels of the map in memory, >= C.
    """
    features = len(given.bias) // 4 - 1
    step = round_channels(features)
    places = [4 * step + position for position in range(4)]
    places += [position * step + c for c in range(features) for position in range(4)]
    return _pack_lines(library, given, stride, np.asarray(places), 4 * step + STEP, features)


def _pack_lines(
    library: Library, given: Weights, stride: int, places: np.ndarray, outputs: int, channels: int
) -> Layer:
    kernel = given.weight.shape[2]
    lines = np.zeros((kernel, kernel, stride, outputs), given.weight.dtype)
    lines[:, :, : given.weight.shape[1]] = _place(given.weight, places, outputs).transpose(2, 3, 1, 0)
    return _pack(library, given, places, lines.reshape(kernel, kernel * stride, outputs), stride, channels)


def _pack(library: Library, given: Weights, places: np.ndarray, taps: np.ndarray, inputs: int, channels: int) -> Layer:
    """Pack [taps, values of a tap, outputs]."""
    outputs, form = taps.shape[2], given.form
    if given.scales is None:
        scale = np.zeros(outputs, np.float32)
    else:
        scale = _place(given.scales * np.float32(form.step), places, outputs)
    packed, above = library.pack_layer(to_halves(taps) if form.kind == "bf16" else taps, form.kind)
    bias = _filled(_place(given.bias, places, outputs))
    return Layer(packed, bias, _filled(scale), above, form, inputs, outputs, given.weight.shape[2], channels)


def _place(values: np.ndarray, places: np.ndarray, outputs: int) -> np.ndarray:
    """Put output channels at their places among zeros."""
    full = np.zeros((outputs, *values.shape[1:]), values.dtype)
    full[places] = values
    return full


def _filled(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.zeros(_BIAS_STEP + -values.size % _BIAS_STEP, np.float32)])
