"""Launches of the network's layers under made masks.

Each has the bytes and multiply-adds that `cost.py` of its operator counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import torch

from benchmarks.subjects.layers import Attention, Compose, DenseLayer, Index, Modulation, Operator, SparseLayer
from spair.network.spair import clean_grid, mask_pyramid
from spair.plugins.compaction.cost import count_index
from spair.plugins.compiler.kernels.tiles import split_channels
from spair.plugins.cost import Activity, Launch, NumberType, measure_activity
from spair.plugins.masked_modulation.cost import count_masked_modulation
from spair.plugins.sparse_compose.cost import count_sparse_compose
from spair.plugins.sparse_conv2d.cost import count_dense_conv2d, count_sparse_conv2d
from spair.plugins.sparse_non_local.cost import count_dense_non_local, count_sparse_non_local
from spair.runtime.profiling.masks import make_mask

TILES = {"fp32": (64, 64, 16), "fp16": (64, 64, 32), "int8": (64, 64, 32)}
"""Pixels, output channels and input channels of a step of the general kernels; the compiler chooses them first."""


class ScaledMasks:
    """Made mask and its activity at every scale."""

    def __init__(self, shape: str, height: int, width: int, density: float, grid: int) -> None:
        full = torch.from_numpy(make_mask(shape, height, width, density, seed=1)).float()[None, None]
        self._scales = mask_pyramid(full)
        self.grid = grid
        self.densities = [float(mask.mean()) for mask in self._scales]
        self.activity = cache(self._measure)

    def _measure(self, scale: int, kernel: int = 1, clean_input: bool = False) -> Activity:
        mask: np.ndarray = self._scales[scale].numpy()
        return measure_activity(mask, kernel, clean_input=clean_input)

    def pixels(self, scale: int) -> int:
        """Return the number of pixels of a scale."""
        return self._scales[scale].numel()

    def clean_keys(self, scale: int) -> int:
        """Count the raster's cells that have a clean pixel."""
        mask = self._scales[scale]
        return int(clean_grid(mask, mask, self.grid)[1].sum())


def type_of_values(kind: NumberType) -> NumberType:
    """Return the type of numbers that are no INT8."""
    return "fp16" if kind == "int8" else kind


def types_of(layer: SparseLayer, kind: NumberType) -> tuple[NumberType, NumberType, NumberType]:
    """Return the types of x, weights and the rest.

    INT8 convolutions of graphs without types of their own read floats.
    """
    floats = type_of_values(kind)
    return layer.types or (floats, kind, floats)


def tile_of(layer: SparseLayer, kind: NumberType) -> tuple[int, int, int]:
    """Return the pixels, outputs and channels of a step."""
    if not layer.listed:
        return TILES[kind]
    width = min(max(16, 1 << (layer.outputs - 1).bit_length()), 64)
    return 64, width, split_channels(layer.channels, kind)[0]


def cost_sparse(operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType) -> Iterator[Launch]:
    """Yield the launches of the plugins."""
    for operator in operators:
        yield from cost_operator(operator, masks, kind)


def cost_operator(operator: Operator, masks: ScaledMasks, kind: NumberType) -> tuple[Launch, ...]:
    """List the launches of one plugin."""
    floats = type_of_values(kind)
    if isinstance(operator, Index):
        return count_index(masks.activity(operator.scale), floats)
    if isinstance(operator, Modulation):
        return count_masked_modulation(1, masks.pixels(operator.scale), operator.channels, kind=floats)
    if isinstance(operator, Compose):
        return count_sparse_compose(masks.activity(operator.scale), operator.channels, kind=floats)
    if isinstance(operator, Attention):
        return count_sparse_non_local(
            masks.activity(operator.scale), [masks.clean_keys(operator.scale)], masks.grid**2, operator.channels,
            operator.outputs, kind=floats, clear_output=operator.clear_output, listed=operator.listed,
        )  # fmt: skip
    x, weight, out = types_of(operator, kind)
    return count_sparse_conv2d(
        masks.activity(operator.scale, operator.kernel, operator.clean_input), operator.channels,
        operator.outputs, operator.kernel, kind=weight, x_kind=x, out_kind=out, gives=operator.gives,
        clean_input=operator.clean_input, joined=operator.joined, residual=operator.residual,
        clear_output=operator.clear_output, listed=operator.listed, tile=tile_of(operator, weight),
    )  # fmt: skip


def cost_dense(operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType) -> Iterator[Launch]:
    """Yield the launches of the same operators on all pixels.

    Each operator is one launch, but the modulation takes the plugins' launches, and no pixels are listed. Convolutions
    read their channels from one tensor, whose concatenation is left out. INT8 convolutions write INT8.
    """
    floats = type_of_values(kind)
    for operator in operators:
        if isinstance(operator, Index):
            continue
        pixels = masks.pixels(operator.scale)
        if isinstance(operator, Modulation):
            yield from count_masked_modulation(1, pixels, operator.channels, kind=floats)
        elif isinstance(operator, Compose):
            every = Activity(pixels, (pixels,), (pixels,), (pixels,))
            yield from count_sparse_compose(every, operator.channels, kind=floats)
        elif isinstance(operator, Attention):
            keys = masks.grid**2
            yield count_dense_non_local(1, pixels, keys, operator.channels, operator.outputs, kind=floats)
        else:
            yield count_dense_conv2d(
                1, (pixels, pixels), operator.channels, operator.outputs, operator.kernel,
                kind=kind, out_kind=kind, residual=operator.residual,
            )  # fmt: skip


def cost_rest(layers: Sequence[DenseLayer], kind: NumberType) -> Iterator[Launch]:
    """Yield the launches of the ordinary convolutions.

    Both sides have them.
    """
    for layer in layers:
        yield count_dense_conv2d(1, layer.pixels, layer.channels, layer.outputs, layer.kernel, kind=kind, out_kind=kind)
