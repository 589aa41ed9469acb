"""Launches with the work of their code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.estimates.counted import Tile, Tiles
from benchmarks.estimates.launches import ScaledMasks, cost_operator, type_of_values, types_of
from benchmarks.subjects.layers import Attention, Compose, Modulation, Operator, SparseLayer
from spair.plugins.compiler.kernels.variants import Layer
from spair.plugins.cost import Launch, NumberType

ATTENTION_BLOCK = 32
"""Channels of the attention's kernel; the shipped network's attention has as many."""


@dataclass(frozen=True)
class CountedLaunch:
    """Launch of a kernel or a memset."""

    launch: Launch
    blocks: int = 0
    """Tiles of the picture."""
    instructions: float = 0.0
    """Instructions of warps that a tile issues; 0 where bytes alone decide."""

    @property
    def products(self) -> float:
        """Multiply-adds of a tile."""
        return self.launch.products / self.blocks if self.blocks else 0.0


def list_steps(
    operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType, tiles: Tiles
) -> Iterator[CountedLaunch]:
    """List the launches of plugins under a mask.

    Raises:
        KeyError: a kernel was not counted.
    """
    for operator in operators:
        for launch in cost_operator(operator, masks, kind):
            yield _make_step(operator, launch, masks, kind, tiles)


def find_tile(name: str, tiles: Tiles) -> Tile:
    """Find the tile of a kernel.

    Where a layer has no kernel of its own, the general one runs, whose name has the layer's size behind its types.

    Raises:
        KeyError: neither was counted.
    """
    general = name.replace("convolve_layer", "sparse_conv2d")
    return tiles[name] if name in tiles or general not in tiles else tiles[general]


def name_kernel(operator: Operator, launch: str, kind: NumberType) -> str | None:
    """Name the counted kernel of a launch.

    None stands for memsets and for weights, which are few bytes.
    """
    floats = type_of_values(kind)
    if launch == "compact_neighbours":
        return f"{launch}.{floats}.k3"
    if launch == "compact_mask":
        return f"{launch}.{floats}"
    if launch == "merge_moments":
        return launch
    if isinstance(operator, Modulation):
        return ".".join((launch, floats, "pixels", *["pixels"] * (launch == "apply_affine")))
    if isinstance(operator, Compose):
        return f"{launch}.fp32.{floats}.fp32.pixels"
    if isinstance(operator, Attention) and launch == "sparse_non_local":
        return f"{launch}.{floats}.pixels.b{ATTENTION_BLOCK}"
    if isinstance(operator, SparseLayer) and launch == "sparse_conv2d":
        return ".".join(("convolve_layer", *layer_of(operator, kind).parts))
    return None


def layer_of(operator: SparseLayer, kind: NumberType) -> Layer:
    """Return a convolution's layer for the compiler of kernels."""
    sizes = (operator.kernel, operator.channels, operator.outputs)
    return Layer(*types_of(operator, kind), *sizes, operator.coarse, operator.joined, operator.gives)


def _make_step(operator: Operator, launch: Launch, masks: ScaledMasks, kind: NumberType, tiles: Tiles) -> CountedLaunch:
    name = name_kernel(operator, launch.name, kind)
    if name is None:
        return CountedLaunch(launch)
    tile = find_tile(name, tiles)
    if launch.name == "merge_moments":
        return _merge(launch, tile, tiles[name_kernel(operator, "masked_moments", kind) or ""], operator, masks)
    active = launch.name in ("sparse_conv2d", "sparse_non_local")
    pixels = sum(masks.activity(operator.scale).active) if active else masks.pixels(operator.scale)
    channels = 1 if launch.name.startswith("compact") else _channels_of(operator)
    return CountedLaunch(launch, tile.blocks(pixels, channels), tile.instructions)


def _channels_of(operator: Operator) -> int:
    return operator.channels if isinstance(operator, Modulation | Compose) else operator.outputs  # type: ignore[union-attr]


def _merge(launch: Launch, tile: Tile, moments: Tile, operator: Operator, masks: ScaledMasks) -> CountedLaunch:
    """Make the step that merges moments, a tile a channel."""
    turns = -(-moments.blocks(masks.pixels(operator.scale), 1) // tile.pixels)
    return CountedLaunch(launch, _channels_of(operator), tile.instructions + turns * tile.turn)
