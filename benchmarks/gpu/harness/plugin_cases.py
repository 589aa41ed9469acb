"""Cases of layers with inputs, runs, and a judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.estimates.launches import ScaledMasks
from benchmarks.gpu.harness.executor import spread
from benchmarks.gpu.harness.plugin_nodes import PluginNode, make_pixels, to_pixels
from benchmarks.subjects.layers import Attention, Compose, Index, Modulation, SparseLayer
from spair.network import operators
from spair.network.spair import clean_grid, mask_pyramid
from spair.plugins.cost import NumberType
from spair.plugins.sparse_conv2d.reference import pack_weight
from spair.runtime.profiling.masks import make_mask
from tests.plugins.emulated.plugin import PluginHost

SETS = 3
"""Sets of inputs that are taken by turns. Together with the outputs they are more than the 50 MB of an H100's second
cache, except for layers at quarter size with few channels."""
SLACK = 2.0
"""Factor on the bound, because the definition is computed in FP32 as well here and may be off by the bound itself."""
ATTENTION_GATE = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest absolute error of attention."""
MODULATION_GATE = {"fp32": 1e-3, "fp16": 2e-2}
"""Largest absolute error of the modulation."""
INT8_STEP = 2.0**-5
"""Value of a step of an INT8 x."""
FLOATS = {"fp32": torch.float32, "fp16": torch.float16, "int8": torch.float16}


@dataclass(frozen=True)
class LayerRuns:
    """Runs of one layer, one for each set of inputs."""

    sparse: list[Callable[[], Any]]
    dense: list[Callable[[], torch.Tensor]]
    """Dense runs; none for lists of pixels, which dense layers need not."""
    check: Callable[[Any], float]
    """Function from the first set's output to its error, as a share of the allowed one."""


class Scene:
    """Masks of one shape and density, with their model.

    The masks lie on the GPU.
    """

    def __init__(self, shape: str, size: tuple[int, int], density: float, grid: int, device: str = "cuda") -> None:
        width, height = size
        self.shape, self.density, self.device = shape, density, device
        self.model = ScaledMasks(shape, height, width, density, grid)
        first = torch.from_numpy(make_mask(shape, height, width, density, seed=1)).float()[None, None].to(device)
        rolled = [torch.roll(first, (index * height // 3, index * width // 5), (2, 3)) for index in range(SETS)]
        self.masks = [mask_pyramid(mask) for mask in rolled]
        """Masks set by set, scale by scale; the model is of the first set."""

    def list_pixels(self, host: PluginHost, scale: int, dtype: torch.dtype) -> list[tuple[torch.Tensor, ...]]:
        """Make index, taps and count of each set's mask."""
        node = PluginNode(host, "SparseIndex", {})
        made = [node([masks[scale].to(dtype)]) for masks in self.masks]
        return [lists for lists in made if isinstance(lists, tuple)]


@dataclass(frozen=True)
class ConvolutionCase:
    """Tensors of one sparse convolution, for all sets of inputs."""

    operator: SparseLayer
    kind: NumberType
    xs: list[torch.Tensor]
    masks: list[torch.Tensor]
    residuals: list[torch.Tensor]
    """Residuals; none where the layer adds none."""
    weight: torch.Tensor
    """Float32 weights before they are rounded or quantized."""
    rounded: torch.Tensor
    """Weights in the type of the products, [D,C,k,k]."""
    bias: torch.Tensor
    scales: list[torch.Tensor]
    """Scale of x and scales of the weights for INT8, else empty."""

    @property
    def slope(self) -> float:
        """Slope of the activation below zero."""
        return 1.0 if self.operator.residual else 0.0

    @property
    def name(self) -> str:
        """Name of the plugin."""
        add = ("AddUp" if self.operator.coarse else "Add") if self.operator.residual else ""
        quantize, join = "Quantize" * (self.kind == "int8"), "Join" * (self.operator.joined > 0)
        return f"SparseConv2d{quantize}{add}{join}{'Listed' * self.operator.listed}"

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the node."""
        found = {
            "pads": [self.operator.kernel // 2] * 4,
            "negative_slope": self.slope,
            "clean_input": float(self.operator.clean_input),
            "clear_output": int(self.operator.clear_output),
        }
        slope = {"sum_slope": self.operator.sum_slope} if self.operator.listed and self.residuals else {}
        return found | slope | self.operator.name_tiling(self.kind)

    def inputs(self, lists: Sequence[Sequence[torch.Tensor]]) -> list[list[torch.Tensor]]:
        """Return the plugin's inputs in its order, set by set.

        Args:
            lists: index, taps and count of each set for listed forms, else empty.
        """
        weight, scales = self.rounded, self.scales
        if self.operator.listed:
            weight = torch.from_numpy(pack_weight(self.rounded.cpu().numpy())).to(self.rounded.device)
            scales = [self.scales[0], self.scales[0] * self.scales[1]] if self.scales else []
        found = []
        for index, (x, mask) in enumerate(zip(self.xs, self.masks, strict=True)):
            x, *joined = self._split(x)
            last = [*(lists[index] if lists else ()), *self.residuals[index : index + 1], *joined]
            found.append([x, mask, weight, self.bias, *scales, *last])
        return found

    def _split(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return x, or its two tensors for a joined form."""
        own = self.operator.channels - self.operator.joined
        return [to_pixels(part) for part in (x[:, :own], x[:, own:])] if self.operator.joined else [x]


def make_convolution(operator: SparseLayer, kind: NumberType, scene: Scene) -> ConvolutionCase:
    """Make random inputs, weights and bias for a sparse convolution."""
    dtype, device = FLOATS[kind], scene.device
    masks = [made[operator.scale].to(dtype) for made in scene.masks]
    sizes = masks[0].shape[2:]
    shape, added = (1, operator.channels, *sizes), (1, operator.outputs, *sizes)
    if operator.coarse:
        added = (1, 4 * operator.outputs, sizes[0] // 2, sizes[1] // 2)
    taps = (operator.kernel, operator.kernel)
    weight = _random((operator.outputs, operator.channels, *taps), torch.float32, device)
    weight = weight / math.sqrt(operator.channels * operator.kernel**2)
    bias = _random((operator.outputs,), dtype, device)
    scales: list[torch.Tensor] = []
    rounded = weight.to(dtype)
    if kind == "int8":
        weight_scale = weight.abs().amax((1, 2, 3)) / 127
        rounded = torch.round(weight / weight_scale[:, None, None, None]).to(torch.int8)
        scales = [torch.tensor([INT8_STEP], device=device), weight_scale]
    xs = [_pixels(shape, dtype, device) for _ in range(SETS)]
    if kind == "int8":
        for x in xs:
            # Multiples of the step, plus up to 0.4 of it: a quotient near a half may be rounded either way.
            x.copy_(((x / INT8_STEP).round().clamp(-100, 100) + 0.4 * torch.rand_like(x)) * INT8_STEP)
    residuals = [_pixels(added, dtype, device) for _ in range(SETS)] if operator.residual else []
    return ConvolutionCase(operator, kind, xs, masks, residuals, weight, rounded, bias, scales)


def judge_convolution(case: ConvolutionCase, out: torch.Tensor) -> float:
    """Compare the first set's output with the definition.

    Returns the error as a share of the allowed one.
    """
    operator = case.operator
    x, mask, real = case.xs[0].float(), case.masks[0].float(), case.rounded.float()
    factor = torch.ones(operator.outputs, device=x.device)
    if case.kind == "int8":
        step, weight_scale = case.scales
        x, factor = torch.round(x / step).clamp(-128, 127), step * weight_scale
    x = x if operator.clean_input else x * mask
    add = case.residuals[0].float() if case.residuals else torch.zeros((), device=x.device)
    add = spread(add) if operator.coarse else add
    bias = case.bias.float()[:, None, None]
    exact = _convolve(x, real) * factor[:, None, None] + bias
    exact = F.leaky_relu(F.leaky_relu(exact, case.slope) + add, operator.sum_slope)
    sizes = _convolve(x.abs(), real.abs()) * factor[:, None, None] + bias.abs() + add.abs()
    terms = 4 + operator.channels * operator.kernel**2  # with INT8 only this definition rounds so often
    eps = 2.0**-24 if FLOATS[case.kind] == torch.float32 else 2.0**-11
    bound = SLACK * terms * 2.0**-24 * sizes + eps * exact.abs() + 2.0**-25
    error = (out.float() - exact).abs() / bound
    # Clean pixels are zero where the layer clears them; elsewhere they may hold anything.
    clean = out.float().abs() * 1e9 if operator.clear_output else torch.zeros_like(error)
    return _largest(torch.where(mask > 0, error, clean))


def convolution(host: PluginHost, operator: SparseLayer, kind: NumberType, scene: Scene) -> LayerRuns:
    """Prepare a sparse convolution and cuDNN's plain one.

    cuDNN's has no activation, residual or masking, and in FP16 its channels are padded to whole eights. INT8 is
    compared with cuDNN's FP16.
    """
    case = make_convolution(operator, kind, scene)
    node = PluginNode(host, case.name, case.attributes)
    lists = scene.list_pixels(host, operator.scale, FLOATS[kind]) if operator.listed else []
    sparse = [lambda inputs=inputs: node(inputs) for inputs in case.inputs(lists)]  # type: ignore[misc]
    dense = _dense_runs(case.xs, case.weight, case.bias, FLOATS[kind])
    return LayerRuns(sparse, dense, lambda out: judge_convolution(case, out))


def _dense_runs(
    xs: Sequence[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype
) -> list[Callable[[], torch.Tensor]]:
    """Make cuDNN's runs at their best.

    In FP16 the channels are padded to whole eights on both sides.
    """
    step = 8 if dtype == torch.float16 else 1
    more, less = -weight.shape[1] % step, -weight.shape[0] % step
    filled = F.pad(weight, (0, 0, 0, 0, 0, more, 0, less)).to(dtype).contiguous(memory_format=torch.channels_last)
    added = F.pad(bias, (0, less))
    wide = [F.pad(x, (0, 0, 0, 0, 0, more)).contiguous(memory_format=torch.channels_last) for x in xs]
    padding = weight.shape[2] // 2
    return [lambda x=x: F.conv2d(x, filled, added, padding=padding) for x in wide]  # type: ignore[misc]


def attention(host: PluginHost, operator: Attention, kind: str, scene: Scene) -> LayerRuns:
    """Prepare SparseNonLocal and PyTorch's attention of all pixels.

    PyTorch's scaled_dot_product_attention chooses its own kernel.
    """
    dtype, grid = FLOATS[kind], scene.model.grid
    masks = [made[operator.scale].to(dtype) for made in scene.masks]
    shape = (1, operator.channels, *masks[0].shape[2:])
    keys = _random((1, operator.channels, grid, grid), dtype, scene.device)
    values = _random((1, operator.outputs, grid, grid), dtype, scene.device)
    queries = [_pixels(shape, dtype, scene.device) for _ in range(SETS)]
    key_mask = clean_grid(masks[0].float(), masks[0].float(), grid)[1].to(dtype)
    attributes = {"scale": operator.channels**-0.5, "clear_output": int(operator.clear_output)}
    node = PluginNode(host, "SparseNonLocal" + "Listed" * operator.listed, attributes)
    lists = scene.list_pixels(host, operator.scale, dtype) if operator.listed else []
    key, value = (part.flatten(2).transpose(1, 2)[:, None].contiguous() for part in (keys, values))
    allowed = (key_mask.flatten() > 0)[None, None, None]

    def sparse(index: int) -> Callable[[], Any]:
        listed = [lists[index][0], lists[index][2]] if lists else []
        inputs = [queries[index], keys, values, masks[index], key_mask, *listed]
        return lambda: node(inputs)

    def dense(index: int) -> Callable[[], torch.Tensor]:
        query = queries[index].flatten(2).transpose(1, 2)[:, None].contiguous()
        return lambda: F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)

    def check(out: torch.Tensor) -> float:
        parts = (part.float() for part in (queries[0], keys, values, masks[0], key_mask))
        error = (out.float() - operators.sparse_non_local(*parts)).abs() / ATTENTION_GATE[kind]
        return _largest(torch.where(masks[0] > 0, error, torch.zeros_like(error)))

    return LayerRuns([sparse(index) for index in range(SETS)], [dense(index) for index in range(SETS)], check)


def modulation(host: PluginHost, operator: Modulation, kind: str, scene: Scene) -> LayerRuns:
    """Prepare MaskedModulation and the PyTorch network's.

    The latter takes several kernels.
    """
    dtype = FLOATS[kind]
    masks = [made[operator.scale].to(dtype) for made in scene.masks]
    xs = [_pixels((1, operator.channels, *masks[0].shape[2:]), dtype, scene.device) for _ in range(SETS)]
    inputs = list(zip(xs, masks, strict=True))
    node = PluginNode(host, "MaskedModulation", {"eps": operators.MODULATION_EPS})

    def check(out: torch.Tensor) -> float:
        exact = operators.masked_modulation(xs[0].float(), masks[0].float())
        return _largest((out.float() - exact).abs() / MODULATION_GATE[kind])

    sparse = [lambda given=given: node(given) for given in inputs]  # type: ignore[misc]
    dense = [lambda given=given: operators.masked_modulation(*given) for given in inputs]  # type: ignore[misc]
    return LayerRuns(sparse, dense, check)


def composition(host: PluginHost, operator: Compose, kind: str, scene: Scene) -> LayerRuns:
    """Prepare SparseCompose and PyTorch's functions for it.

    The latter are several kernels, and give the very same numbers.
    """
    masks = [made[operator.scale].to(FLOATS[kind]) for made in scene.masks]
    shape = (1, operator.channels, *masks[0].shape[2:])
    pictures = [torch.rand(shape, device=scene.device) for _ in masks]
    residuals = [_pixels(shape, FLOATS[kind], scene.device) for _ in masks]
    inputs = list(zip(pictures, residuals, masks, strict=True))
    node = PluginNode(host, "SparseCompose", {"low": 0.0, "high": 1.0})

    def dense(picture: torch.Tensor, residual: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.where(mask > 0, (picture + residual).clamp(0, 1), picture)

    sparse = [lambda given=given: node(given) for given in inputs]  # type: ignore[misc]
    runs = [lambda given=given: dense(*given) for given in inputs]  # type: ignore[misc]
    return LayerRuns(sparse, runs, lambda out: 0.0 if torch.equal(out, dense(*inputs[0])) else math.inf)


def list_pixels(host: PluginHost, operator: Index, kind: str, scene: Scene) -> LayerRuns:
    """Prepare the list of a mask's active pixels."""
    masks = [made[operator.scale].to(FLOATS[kind]) for made in scene.masks]
    node = PluginNode(host, "SparseIndex", {})
    sparse = [lambda mask=mask: node([mask]) for mask in masks]  # type: ignore[misc]
    return LayerRuns(sparse, [], lambda lists: judge_lists(masks[0], lists))


def judge_lists(mask: torch.Tensor, lists: Sequence[torch.Tensor]) -> float:
    """Compare a list with its definition.

    Returns 0 where it is right, else infinity.
    """
    pixels, words = mask.flatten().nonzero().flatten(), _word_taps(mask)
    found = int(lists[2])
    order = lists[0].flatten()[:found].long().sort()
    taps = lists[1].flatten()[:found].long()[order.indices]
    right = found == len(pixels) and torch.equal(order.values, pixels) and torch.equal(taps, words[pixels])
    return 0.0 if right else math.inf


def _word_taps(mask: torch.Tensor) -> torch.Tensor:
    """Make the word of taps of every pixel.

    A mask [1,1,H,W] gives [H*W] int64, first the bits of the taps that may be read, then of those inside.
    """
    planes = [F.unfold(part.float(), 3, padding=1)[0].long() for part in (mask > 0, torch.ones_like(mask))]
    return (torch.cat(planes) << torch.arange(18, device=mask.device)[:, None]).sum(0)


MAKERS: dict[type, Callable[[PluginHost, Any, str, Scene], LayerRuns]] = {
    SparseLayer: convolution,
    Attention: attention,
    Modulation: modulation,
    Index: list_pixels,
    Compose: composition,
}


def _random(shape: Sequence[int], dtype: torch.dtype, device: str) -> torch.Tensor:
    return torch.randn(tuple(shape), device=device).to(dtype)


def _pixels(shape: Sequence[int], dtype: torch.dtype, device: str) -> torch.Tensor:
    """Make a random picture in the plugins' layout."""
    return make_pixels(shape, dtype, device).normal_()


def _convolve(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, weight, padding=weight.shape[2] // 2)


def _largest(error: torch.Tensor) -> float:
    """Return the largest error, or infinity where something is NaN."""
    return math.inf if error.isnan().any() else float(error.max())
