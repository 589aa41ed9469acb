"""Made calls of each operator, with the definition's result and how far from it arithmetic in their types may lead."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from spair.plugins.masked_modulation.reference import masked_modulation
from spair.plugins.sparse_compose.reference import sparse_compose
from spair.plugins.sparse_non_local.reference import sparse_non_local
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.operators import PIXEL_FORMAT, Call, same_padding
from tests.plugins.emulated.plugin import Tensor

EPS = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float16): 2.0**-11}
"""Half a unit in the last place, relative."""
SMALLEST = {np.dtype(np.float32): 2.0**-150, np.dtype(np.float16): 2.0**-25}
"""Half of the smallest subnormal number."""


def made_mask(rng: np.random.Generator, shape: tuple[int, int, int], density: float, dtype: Any) -> np.ndarray:
    """[N,1,H,W] of 0 and 1."""
    n, h, w = shape
    return (rng.random((n, 1, h, w)) < density).astype(dtype)


def convolution(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int],
    outputs: int,
    *,
    dtype: Any = np.float32,
    int8: bool = False,
    quantize: bool = False,
    pixels: bool = False,
    mask: np.ndarray | None = None,
    density: float = 0.3,
    kernel: int = 3,
    dilation: int = 1,
    slope: float = 0.0,
    clean_input: bool = False,
    residual: bool = False,
) -> tuple[Call, np.ndarray]:
    """A call of SparseConv2d in one of its forms, and the bound of each output's error; `quantize` needs `int8`.

    The bound: FP32 sums of n terms are off by n * 2^-24 of the sum of the terms' magnitudes at most; scaling, bias,
    activation and residual round four times more; the result is then rounded to its type.
    """
    n, c, h, w = shape
    kind = np.dtype(dtype)
    mask = made_mask(rng, (n, h, w), density, kind) if mask is None else mask.astype(kind)
    bias = rng.standard_normal(outputs).astype(kind)
    layout = PIXEL_FORMAT[np.dtype(np.int8) if int8 and not quantize else kind] if pixels else trt.LINEAR
    out_layout = PIXEL_FORMAT[kind] if pixels else trt.LINEAR
    if int8:
        x = rng.integers(-128, 128, shape).astype(np.int8)
        weight = rng.integers(-127, 128, (outputs, c, kernel, kernel)).astype(np.int8)
        x_scale = np.array(rng.uniform(0.005, 0.02)).astype(np.float16).astype(np.float32)
        weight_scale = rng.uniform(0.001, 0.01, outputs).astype(np.float32)
        scale = x_scale.astype(np.float64) * weight_scale
        scales = [Tensor(x_scale), Tensor(weight_scale)]
    else:
        x = rng.standard_normal(shape).astype(kind)
        weight = (rng.standard_normal((outputs, c, kernel, kernel)) / math.sqrt(c * kernel**2)).astype(kind)
        scale, scales = np.ones(outputs), []
    given = (x * x_scale + rng.uniform(-0.4, 0.4, shape) * x_scale).astype(kind) if quantize else x
    inputs = [Tensor(given, layout), Tensor(mask), Tensor(weight), Tensor(bias), *scales]
    if residual:
        added = rng.standard_normal((n, outputs, h, w)).astype(kind)
        inputs.append(Tensor(added, out_layout))
    else:
        added = np.zeros((n, outputs, h, w))
    readable = np.ones_like(mask) if clean_input else mask
    exact = _convolve(x * readable.astype(np.float64), weight, scale, dilation) + bias.astype(np.float64)[:, None, None]
    exact = (np.where(exact < 0, slope * exact, exact) + added) * mask
    sizes = _convolve(np.abs(x * readable.astype(np.float64)), np.abs(weight.astype(np.float64)), scale, dilation)
    sizes += np.abs(bias.astype(np.float64))[:, None, None] + np.abs(added)
    terms = 4 + (0 if int8 else c * kernel**2)
    bound = terms * 2.0**-24 * sizes + EPS[kind] * np.abs(exact) + SMALLEST[kind]
    name = "SparseConv2d" + ("Quantize" if quantize else "Int8" if int8 else "") + ("Add" if residual else "")
    attributes = {"pads": same_padding(kernel, dilation), "negative_slope": float(slope)}
    attributes |= {"clean_input": float(clean_input)}
    if dilation != 1:
        attributes["dilations"] = [dilation, dilation]
    call = Call(name, attributes, inputs, (n, outputs, h, w), trt.TYPE_OF[kind], out_layout, exact)
    return call, bound


def _convolve(x: np.ndarray, weight: np.ndarray, scale: np.ndarray, dilation: int) -> np.ndarray:
    kernel = weight.shape[2]
    scaled = weight.astype(np.float64) * scale[:, None, None, None]
    pictures, kernels = torch.from_numpy(x), torch.from_numpy(scaled)
    return F.conv2d(pictures, kernels, padding=dilation * (kernel // 2), dilation=dilation).numpy()


def non_local(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int],
    outputs: int,
    keys: tuple[int, int],
    *,
    dtype: Any = np.float32,
    pixels: bool = False,
    density: float = 0.3,
    clean_keys: float = 0.6,
) -> tuple[Call, np.ndarray]:
    """A call of SparseNonLocal, and the bound of each output's error.

    The bound: scores s of magnitude up to S are off by (C + 2) * 2^-24 * S; weights exp(s) by as much relatively, and
    by 2^-11 where FP16 multiplies them with the values; a weighted mean is off by twice that of the largest value.
    """
    n, c, h, w = shape
    kind = np.dtype(dtype)
    query = rng.standard_normal(shape).astype(kind)
    key = rng.standard_normal((n, c, *keys)).astype(kind)
    value = rng.standard_normal((n, outputs, *keys)).astype(kind)
    query_mask = made_mask(rng, (n, h, w), density, kind)
    key_mask = made_mask(rng, (n, *keys), clean_keys, kind)
    scale = 1.0 / math.sqrt(c)
    layout = PIXEL_FORMAT[kind] if pixels else trt.LINEAR
    arrays = [part.astype(np.float32) for part in (query, key, value, query_mask, key_mask)]
    exact = sparse_non_local(*arrays, scale=scale).astype(np.float64)
    largest = scale * np.abs(query.astype(np.float64)).sum(1).max() * np.abs(key.astype(np.float64)).max()
    relative = (c + 2) * 2.0**-24 * largest + key_mask[0].size * 2.0**-24 + EPS[kind]
    bound = (
        2 * relative * np.abs(value.astype(np.float64)).max() + EPS[kind] * np.abs(exact) + 2.0**-22 + SMALLEST[kind]
    )
    inputs = [Tensor(query, layout), Tensor(key), Tensor(value), Tensor(query_mask), Tensor(key_mask)]
    out = (n, outputs, h, w)
    return Call("SparseNonLocal", {"scale": scale}, inputs, out, trt.TYPE_OF[kind], layout, exact), bound


def modulation(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int],
    *,
    dtype: Any = np.float32,
    pixels: bool = False,
    mask: np.ndarray | None = None,
    density: float = 0.3,
) -> tuple[Call, np.ndarray]:
    """A call of MaskedModulation, and the bound of each output's error.

    The bound: means and deviations of p pixels are off by about log2(p) + 8 roundings of 2^-24 of the largest input
    (blocks are merged pairwise), which the scale multiplies; the result is then rounded to its type.
    """
    n, _, h, w = shape
    kind = np.dtype(dtype)
    x = (3 + 2 * rng.standard_normal(shape)).astype(kind)
    mask = made_mask(rng, (n, h, w), density, kind) if mask is None else mask.astype(kind)
    layout = PIXEL_FORMAT[kind] if pixels else trt.LINEAR
    exact = masked_modulation(x.astype(np.float32), mask.astype(np.float32), eps=1e-5).astype(np.float64)
    scale = np.abs(exact - x).max() / max(np.abs(x).min(), 1e-3) + 1
    roundings = math.log2(h * w + 1) + 8
    bound = 2 * roundings * 2.0**-24 * np.abs(x).max() * scale * np.ones(shape) + EPS[kind] * np.abs(exact)
    inputs = [Tensor(x, layout), Tensor(mask)]
    return Call("MaskedModulation", {"eps": 1e-5}, inputs, shape, trt.TYPE_OF[kind], layout, exact), bound


def composition(
    rng: np.random.Generator, shape: tuple[int, int, int, int], *, dtype: Any = np.float32, pixels: bool = False
) -> tuple[Call, np.ndarray]:
    """A call of SparseCompose, and the bound of each output's error, which is none: a value is one sum in FP32."""
    n, _, h, w = shape
    kind = np.dtype(dtype)
    picture = rng.random(shape, np.float32)
    mask = made_mask(rng, (n, h, w), 0.3, kind)
    residual = np.where(mask != 0, rng.standard_normal(shape), np.nan).astype(kind)
    limits = {"low": 0.0, "high": 1.0}
    exact = sparse_compose(picture, residual, mask, **limits).astype(np.float64)
    inputs = [Tensor(picture), Tensor(residual, PIXEL_FORMAT[kind] if pixels else trt.LINEAR), Tensor(mask)]
    return Call("SparseCompose", limits, inputs, shape, trt.FLOAT, trt.LINEAR, exact), np.zeros(shape)
