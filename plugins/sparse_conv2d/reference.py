"""SparseConv2d, defined as loops over distorted pixels."""

from __future__ import annotations

from typing import Any

import numpy as np


def sparse_conv2d(
    x: np.ndarray,
    mask: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    negative_slope: float = 1.0,
    clean_input: bool = False,
    dilation: int = 1,
    residual: np.ndarray | None = None,
    sum_slope: float = 1.0,
) -> np.ndarray:
    """Convolve distorted pixels by equation (1) of SPAIR.

    The equation is from the paper (ICCV 2021); bias and activation are added here. Where mask[n,p] = 1, `out[n,:,p] =
    act(bias + sum_k weight[:,:,k] x[n,:,p+k]) + residual[n,:,p]` over the neighbours p+k inside the picture whose mask
    is 1, or over all neighbours with `clean_input`. The output is zero elsewhere.

    Args:
        x: float32 [N,C,H,W].
        mask: float32 [N,1,H,W], 0 or 1.
        weight: float32 [D,C,k,k], k odd; stride 1, centred on p.
        bias: float32 [D].
        negative_slope: slope of the activation below zero: 0 is ReLU, 1 is no activation.
        clean_input: whether clean neighbours are read as well.
        dilation: distance of neighbouring taps in pixels, 1 or more.
        residual: float32 [N,D,H,W], added after the activation; None adds nothing.
        sum_slope: slope below zero of a second activation, of the sum with the residual.

    Returns:
        float32 [N,D,H,W], accumulated in float64.
    """
    scale = np.ones(weight.shape[0])
    return _convolve(x, mask, weight, bias, scale, residual, (negative_slope, sum_slope), clean_input, dilation)


def sparse_conv2d_int8(
    x: np.ndarray,
    mask: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    x_scale: float,
    weight_scale: np.ndarray,
    *,
    negative_slope: float = 1.0,
    clean_input: bool = False,
    dilation: int = 1,
    residual: np.ndarray | None = None,
    sum_slope: float = 1.0,
) -> np.ndarray:
    """Convolve the values that 8-bit integers stand for.

    The integers stand for `x_scale * x` and `weight_scale[d] * weight[d]`, and the result is `sparse_conv2d` of these.
    The sum of products is exact; scales, bias, activation and residual come after it.

    Args:
        x: int8 [N,C,H,W].
        mask: float32 [N,1,H,W], 0 or 1.
        weight: int8 [D,C,k,k].
        bias: float32 [D].
        x_scale: value of a step of x, > 0.
        weight_scale: float32 [D], values of a step of the weights, > 0.
        negative_slope: see `sparse_conv2d`; so are `clean_input`, `dilation`, `residual` and `sum_slope`.

    Returns:
        float32 [N,D,H,W].
    """
    scale = float(x_scale) * weight_scale.astype(np.float64)
    return _convolve(x, mask, weight, bias, scale, residual, (negative_slope, sum_slope), clean_input, dilation)


def spread(coarse: np.ndarray) -> np.ndarray:
    """Make a residual of a coarse one.

    Args:
        coarse: [N,4D,H,W], D channels for each of the four pixels that a pixel covers, from left to right and from top
            to bottom.

    Returns:
        [N,D,2H,2W].
    """
    n, channels, height, width = coarse.shape
    parts = coarse.reshape(n, 2, 2, channels // 4, height, width)
    return parts.transpose(0, 3, 4, 1, 5, 2).reshape(n, channels // 4, 2 * height, 2 * width)


def pack_weight(weight: np.ndarray) -> np.ndarray:
    """Order weights as kernels read them.

    Args:
        weight: [D,C,k,k], any type.

    Returns:
        The same type: [k,k,C,D'], D' being D rounded up to 16; of INT8 [k,k,D',C''], C'' being C rounded up to 32. What
        was added is zero.
    """
    outputs, channels = weight.shape[:2]
    integer = weight.dtype == np.int8
    added = (-outputs % 16, -channels % 32 if integer else 0)
    filled = np.pad(weight, ((0, added[0]), (0, added[1]), (0, 0), (0, 0)))
    return np.ascontiguousarray(filled.transpose((2, 3, 0, 1) if integer else (2, 3, 1, 0)))


def quantize(x: np.ndarray, scale: float) -> np.ndarray:
    """Quantize as QuantizeLinear does without a zero point.

    The result is `x / scale` in float32, rounded half to even, clamped to -128..127.

    Args:
        x: float32; or float16, and then `scale` has no more digits than float16 has, and is at most 512.
        scale: value of a step, > 0, float32.

    Returns:
        int8; NaN gives any number.
    """
    with np.errstate(all="ignore"):  # infinities and NaN are allowed here
        steps = np.rint(x.astype(np.float32) / np.float32(scale))
    return np.nan_to_num(steps, nan=-128).clip(-128, 127).astype(np.int8)


def sparse_conv2d_quantize(
    x: np.ndarray,
    mask: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    x_scale: float,
    weight_scale: np.ndarray,
    **options: Any,
) -> np.ndarray:
    """Convolve a float x that becomes int8 when read.

    The other arguments are those of `sparse_conv2d_int8`.
    """
    return sparse_conv2d_int8(quantize(x, x_scale), mask, weight, bias, x_scale, weight_scale, **options)


def _convolve(
    x: np.ndarray,
    mask: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    scale: np.ndarray,
    residual: np.ndarray | None,
    slopes: tuple[float, float],
    clean_input: bool,
    dilation: int,
) -> np.ndarray:
    """Convolve for both operators, in float64.

    float64 holds sums of products of 8-bit integers exactly.
    """
    batch, _, height, width = x.shape
    outputs, _, kernel, _ = weight.shape
    out = np.zeros((batch, outputs, height, width), np.float32)
    for n, row, column in zip(*np.nonzero(mask[:, 0]), strict=True):
        total = np.zeros(outputs)
        for i in range(kernel):
            for j in range(kernel):
                y, z = row + (i - kernel // 2) * dilation, column + (j - kernel // 2) * dilation
                inside = 0 <= y < height and 0 <= z < width
                if inside and (clean_input or mask[n, 0, y, z]):
                    total = total + weight[:, :, i, j].astype(np.float64) @ x[n, :, y, z].astype(np.float64)
        total = scale * total + bias
        total = np.where(total < 0, slopes[0] * total, total)
        if residual is not None:
            total = total + residual[n, :, row, column]
            total = np.where(total < 0, slopes[1] * total, total)
        out[n, :, row, column] = total
    return out
