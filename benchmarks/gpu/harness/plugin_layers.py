"""Each layer of the shipped network alone: through its plugin, densely with cuDNN, and by the roofline model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.common.measuring import say
from benchmarks.gpu.harness.graph_timing import time_runs
from benchmarks.gpu.harness.plugin_nodes import PluginNode, make_pixels
from benchmarks.roofline import Masks, cost_dense, cost_sparse, estimate
from benchmarks.subjects.gpus import find_gpus
from benchmarks.subjects.layers import Attention, Modulation, Operator, SparseLayer
from spair.network import operators
from spair.network.spair import clean_grid, mask_pyramid
from spair.runtime.errors import GateError
from spair.runtime.profiling.masks import make_mask
from tests.plugins.emulated.plugin import PluginHost

GPU = "H100 SXM"
"""Whose nominal peaks the model takes."""
SETS = 3
"""Inputs that are taken by turns; together with the outputs more than the 50 MB of an H100's second cache, except for
layers at quarter size with few channels."""
SLACK = 2.0
"""The definition is computed in FP32 as well here, so that both sides may be off by the bound."""
ATTENTION_GATE = {"fp32": 1e-4, "fp16": 2e-2}
MODULATION_GATE = {"fp32": 1e-3, "fp16": 2e-2}
FLOATS = {"fp32": torch.float32, "fp16": torch.float16, "int8": torch.float16}


@dataclass(frozen=True)
class Contenders:
    """One layer under one mask, once for each set of inputs."""

    sparse: list[Callable[[], torch.Tensor]]
    dense: list[Callable[[], torch.Tensor]]
    check: Callable[[torch.Tensor], float]
    """Share of its bound that the first set's output is off by."""


class Scene:
    """Masks of one shape and density on the GPU, and what the model says of them."""

    def __init__(self, shape: str, size: tuple[int, int], density: float, grid: int, device: str = "cuda") -> None:
        width, height = size
        self.shape, self.density, self.device = shape, density, device
        self.model = Masks(shape, height, width, density, grid)
        first = torch.from_numpy(make_mask(shape, height, width, density, seed=1)).float()[None, None].to(device)
        rolled = [torch.roll(first, (index * height // 3, index * width // 5), (2, 3)) for index in range(SETS)]
        self.masks = [mask_pyramid(mask) for mask in rolled]
        """Set by set, scale by scale; the model is of the first."""


def measure_layers(
    host: PluginHost, layers: Sequence[Operator], scenes: Sequence[Scene], kinds: Sequence[str], replays: int
) -> Iterator[dict[str, Any]]:
    """A row for each layer, kind and mask.

    Raises:
        GateError: a plugin is further from its definition than its arithmetic allows.
    """
    (gpu,) = find_gpus((GPU,))
    for operator, count in Counter(layers).items():
        for kind in kinds:
            if kind == "int8" and not isinstance(operator, SparseLayer):
                continue
            dense_ms = None
            for scene in scenes:
                say(f"{name_of(operator)} {kind} {scene.shape} {scene.density:g}")
                made = MAKERS[type(operator)](host, operator, kind, scene)
                off = made.check(made.sparse[0]())
                if not off <= 1.0:
                    raise GateError(
                        f"{name_of(operator)}, {kind}, {scene.shape} {scene.density:g}: {off:.2f} of its bound"
                    )
                if dense_ms is None:  # whatever the mask
                    dense_ms = time_runs(made.dense, replays)
                sparse_ms = time_runs(made.sparse, replays)
                model = estimate(gpu, cost_sparse([operator], scene.model, kind))
                model_dense = estimate(gpu, cost_dense([operator], scene.model, "fp16" if kind == "int8" else kind))
                yield {
                    "layer": name_of(operator), "count": count, **asdict(operator), "kind": kind,
                    "mask": scene.shape, "density": scene.model.densities[operator.scale], "asked": scene.density,
                    "sparse_ms": sparse_ms, "dense_ms": dense_ms, "speedup": dense_ms / sparse_ms,
                    "model_ms": model["ms"], "model_share": model["ms"] / sparse_ms,
                    "model_dense_ms": model_dense["ms"], "model_dense_share": model_dense["ms"] / dense_ms,
                    "launches": model["launches"], "off": off,
                }  # fmt: skip
                del made


def name_of(operator: Operator) -> str:
    """A short name: "conv 48-48 k3 /1 +"."""
    size = f"/{2**operator.scale}"
    if isinstance(operator, Modulation):
        return f"modulation {operator.channels} {size}"
    if isinstance(operator, Attention):
        return f"attention {operator.channels} {size}"
    marks = "".join(
        mark
        for mark, on in ((" +", operator.residual), (" clean", operator.clean_input), (" zeros", operator.clear_output))
        if on
    )
    return f"conv {operator.channels}-{operator.outputs} k{operator.kernel} {size}{marks}"


def convolution(host: PluginHost, operator: SparseLayer, kind: str, scene: Scene) -> Contenders:
    """A sparse convolution against cuDNN's plain one: without activation, residual or masking, channels padded to whole
    eights in FP16. INT8 is compared with cuDNN's FP16."""
    dtype, taps = FLOATS[kind], operator.kernel**2
    masks = [made[operator.scale].to(dtype) for made in scene.masks]
    shape = (1, operator.channels, *masks[0].shape[2:])
    out_shape = (1, operator.outputs, *masks[0].shape[2:])
    weight = _random(
        (operator.outputs, operator.channels, operator.kernel, operator.kernel), torch.float32, scene.device
    )
    weight = weight / math.sqrt(operator.channels * taps)
    bias = _random((operator.outputs,), dtype, scene.device)
    scales: list[torch.Tensor] = []
    if kind == "int8":
        step = torch.tensor(2.0**-5, device=scene.device)
        weight_scale = weight.abs().amax((1, 2, 3)) / 127
        packed = torch.round(weight / weight_scale[:, None, None, None]).to(torch.int8)
        scales = [step, weight_scale]
        factor, real = step * weight_scale, packed.float()
    else:
        packed = weight.to(dtype)
        factor, real = torch.ones(operator.outputs, device=scene.device), packed.float()
    xs = [_pixels(shape, dtype, scene.device) for _ in range(SETS)]
    if kind == "int8":
        for x in xs:
            # Multiples of the step and up to 0.4 of it beside: a quotient near a half may be rounded either way.
            x.copy_(((x * 32).round().clamp(-100, 100) + 0.4 * torch.rand_like(x)) / 32)
    residuals = [_pixels(out_shape, dtype, scene.device) for _ in range(SETS)] if operator.residual else []
    slope = 1.0 if operator.residual else 0.0
    name = "SparseConv2d" + ("Quantize" if kind == "int8" else "") + ("Add" if operator.residual else "")
    node = PluginNode(
        host, name,
        {"pads": [operator.kernel // 2] * 4, "negative_slope": slope, "clean_input": float(operator.clean_input),
         "clear_output": int(operator.clear_output)},
    )  # fmt: skip

    def sparse(index: int) -> Callable[[], torch.Tensor]:
        inputs = [xs[index], masks[index], packed, bias, *scales, *residuals[index : index + 1]]
        return lambda: node(inputs)

    def check(out: torch.Tensor) -> float:
        x, mask = xs[0].float(), masks[0].float()
        x = torch.round(x / step).clamp(-128, 127) if kind == "int8" else x
        x = x if operator.clean_input else x * mask
        add = residuals[0].float() if residuals else torch.zeros((), device=scene.device)
        exact = _convolve(x, real) * factor[:, None, None] + bias.float()[:, None, None]
        exact = torch.where(exact < 0, slope * exact, exact) + add
        sizes = _convolve(x.abs(), real.abs()) * factor[:, None, None] + bias.float().abs()[:, None, None] + add.abs()
        terms = 4 + operator.channels * taps  # for INT8 those of this definition alone
        eps = 2.0**-24 if dtype == torch.float32 else 2.0**-11
        bound = SLACK * terms * 2.0**-24 * sizes + eps * exact.abs() + 2.0**-25
        # Clean pixels are zero where they are cleared, else nobody's.
        error = (out.float() - exact).abs() / bound
        error = torch.where(
            mask > 0, error, out.float().abs() * 1e9 if operator.clear_output else torch.zeros_like(error)
        )
        return _largest(error)

    return Contenders([sparse(index) for index in range(SETS)], _dense_runs(xs, weight, bias, dtype), check)


def _dense_runs(
    xs: Sequence[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype
) -> list[Callable[[], torch.Tensor]]:
    """cuDNN at its best: in FP16 with channels to whole eights, on both sides."""
    step = 8 if dtype == torch.float16 else 1
    more, less = -weight.shape[1] % step, -weight.shape[0] % step
    filled = F.pad(weight, (0, 0, 0, 0, 0, more, 0, less)).to(dtype).contiguous(memory_format=torch.channels_last)
    added = F.pad(bias, (0, less))
    wide = [F.pad(x, (0, 0, 0, 0, 0, more)).contiguous(memory_format=torch.channels_last) for x in xs]
    padding = weight.shape[2] // 2
    return [lambda x=x: F.conv2d(x, filled, added, padding=padding) for x in wide]  # type: ignore[misc]


def attention(host: PluginHost, operator: Attention, kind: str, scene: Scene) -> Contenders:
    """SparseNonLocal against PyTorch's scaled_dot_product_attention of all pixels, with its own choice of kernel."""
    dtype, grid = FLOATS[kind], scene.model.grid
    masks = [made[operator.scale].to(dtype) for made in scene.masks]
    shape = (1, operator.channels, *masks[0].shape[2:])
    keys = _random((1, operator.channels, grid, grid), dtype, scene.device)
    values = _random((1, operator.outputs, grid, grid), dtype, scene.device)
    queries = [_pixels(shape, dtype, scene.device) for _ in range(SETS)]
    key_mask = clean_grid(masks[0].float(), masks[0].float(), grid)[1].to(dtype)
    attributes = {"scale": operator.channels**-0.5, "clear_output": int(operator.clear_output)}
    node = PluginNode(host, "SparseNonLocal", attributes)
    key, value = (part.flatten(2).transpose(1, 2)[:, None].contiguous() for part in (keys, values))
    allowed = (key_mask.flatten() > 0)[None, None, None]

    def sparse(index: int) -> Callable[[], torch.Tensor]:
        inputs = [queries[index], keys, values, masks[index], key_mask]
        return lambda: node(inputs)

    def dense(index: int) -> Callable[[], torch.Tensor]:
        query = queries[index].flatten(2).transpose(1, 2)[:, None].contiguous()
        return lambda: F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)

    def check(out: torch.Tensor) -> float:
        parts = (part.float() for part in (queries[0], keys, values, masks[0], key_mask))
        error = (out.float() - operators.sparse_non_local(*parts)).abs() / ATTENTION_GATE[kind]
        return _largest(torch.where(masks[0] > 0, error, torch.zeros_like(error)))

    return Contenders([sparse(index) for index in range(SETS)], [dense(index) for index in range(SETS)], check)


def modulation(host: PluginHost, operator: Modulation, kind: str, scene: Scene) -> Contenders:
    """MaskedModulation against the PyTorch network's, which takes several kernels."""
    dtype = FLOATS[kind]
    masks = [made[operator.scale].to(dtype) for made in scene.masks]
    xs = [_pixels((1, operator.channels, *masks[0].shape[2:]), dtype, scene.device) for _ in range(SETS)]
    node = PluginNode(host, "MaskedModulation", {"eps": operators.MODULATION_EPS})

    def sparse(index: int) -> Callable[[], torch.Tensor]:
        inputs = [xs[index], masks[index]]
        return lambda: node(inputs)

    def dense(index: int) -> Callable[[], torch.Tensor]:
        return lambda: operators.masked_modulation(xs[index], masks[index])

    def check(out: torch.Tensor) -> float:
        exact = operators.masked_modulation(xs[0].float(), masks[0].float())
        return _largest((out.float() - exact).abs() / MODULATION_GATE[kind])

    return Contenders([sparse(index) for index in range(SETS)], [dense(index) for index in range(SETS)], check)


MAKERS: dict[type, Callable[[PluginHost, Any, str, Scene], Contenders]] = {
    SparseLayer: convolution,
    Attention: attention,
    Modulation: modulation,
}


def _random(shape: Sequence[int], dtype: torch.dtype, device: str) -> torch.Tensor:
    return torch.randn(tuple(shape), device=device).to(dtype)


def _pixels(shape: Sequence[int], dtype: torch.dtype, device: str) -> torch.Tensor:
    """A random picture as it lies for the plugins."""
    return make_pixels(shape, dtype, device).normal_()


def _convolve(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, weight, padding=weight.shape[2] // 2)


def _largest(error: torch.Tensor) -> float:
    """The largest; infinite where something is no number."""
    return math.inf if error.isnan().any() else float(error.max())
