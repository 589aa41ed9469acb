"""Tile sizes and warps for each kernel and architecture.

A tile is what one program of the grid computes. The sizes were chosen by compiling: no registers are spilled on any
architecture, tensor cores are used where the types have them, and as many blocks lie side by side as that leaves. No
choice was timed, because that needs the GPU of the target. There `spair build --tune` times the alternatives.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...cost import NumberType


@dataclass(frozen=True)
class Tiling:
    """Tile sizes, warps and stages of a kernel."""

    names: tuple[str, ...]
    """Names of the kernel's constants that are sizes, in the order in which the plugins expect them."""
    sizes: tuple[int, ...]
    """Values of these constants, powers of two."""
    warps: int = 4
    """Warps of 32 threads in a block."""
    stages: int = 3
    """Loads in flight in the kernel's loops."""

    def __post_init__(self) -> None:
        if len(self.names) != len(self.sizes) or len(self.sizes) > 4:
            raise ValueError(f"expected one size for each of the names, 4 at most, got {self.names} and {self.sizes}")
        if any(size < 1 or size & (size - 1) for size in (*self.sizes, self.warps)) or self.stages < 1:
            raise ValueError(f"sizes and warps must be powers of two and stages >= 1, got {self}")

    @property
    def constants(self) -> dict[str, int]:
        """Value of each of the kernel's constants.

        A name such as "BC+BD" gives one size to two of them.
        """
        return {part: size for name, size in zip(self.names, self.sizes, strict=True) for part in name.split("+")}

    @property
    def name(self) -> str:
        """Name of a layer's tiling, such as "m128n64w8s2"."""
        pixels, outputs = self.sizes
        return f"m{pixels}n{outputs}w{self.warps}s{self.stages}"


def list_tilings(function: str, parts: tuple[str, ...], architecture: int) -> tuple[Tiling, ...]:
    """List the tilings of a kernel, best choice first.

    Args:
        function: name of the kernel.
        parts: parts of the variant's name after the function's name.
        architecture: compute capability.
    """
    if function == "sparse_conv2d":
        return _make(("BM", "BN", "BK"), *_convolution(parts[0], parts[1], parts[3], architecture))
    if function == "convolve_layer":
        return _make(("BM", "BN"), *_layer(parts[1], int(parts[5].removeprefix("d"))))
    if function == "sparse_non_local":
        block = int(parts[2].removeprefix("b"))
        return _make(
            ("BM", "BJ", "BC+BD"),
            *(((*rows, block), warps, stages) for rows, warps, stages in _attention(parts[0], block)),
        )
    if function in ("masked_moments", "apply_affine"):
        pixels, channels = (128, 16) if parts[1] == "linear" else (64, 32)
        return _make(("BP", "BC"), ((pixels, channels), 4, 3), ((pixels // 2, channels), 4, 3))
    if function == "compose_pixels":
        return _make(("BP", "BC"), ((256, 4), 4, 3))
    return _make(("BLOCK",), ((1024,) if function in ("compact_mask", "compact_neighbours") else (256,), 4, 3))


def list_alternatives(weight: NumberType, outputs: int) -> tuple[Tiling, ...]:
    """List tilings of a layer beside the first choice.

    Some may be faster on some GPU.

    Larger tiles read a weight less often and leave room for fewer blocks; more loads in flight hide slower memory.
    Tiles wider than 64 are none of them: they issue more instructions, for want of registers.

    Args:
        weight: type of the weights.
        outputs: D of the layer.
    """
    width = _layer_width(outputs)
    if weight == "fp32":
        return _make(("BM", "BN"), ((64, width), 4, 2), ((128, width), 8, 2), ((32, width), 4, 2))
    return _make(("BM", "BN"), ((128, width), 8, 2), ((128, width), 4, 2), ((64, width), 4, 3))


_Choice = tuple[tuple[int, ...], int, int]
"""Sizes, warps and stages."""


def _make(names: tuple[str, ...], *choices: _Choice) -> tuple[Tiling, ...]:
    return tuple(Tiling(names, *choice) for choice in choices)


def _convolution(x: str, weight: str, layout: str, architecture: int) -> tuple[_Choice, ...]:
    """Choose tilings for a convolution.

    In the layout "linear" every element of a tile has an address of its own, so tiles are smaller.
    """
    linear = layout == "linear"
    if weight == "fp32":  # exact FP32 products: no tensor cores, the accumulators lie in registers
        first: _Choice = ((32, 64, 32), 4, 2) if linear else ((64, 64, 16), 8, 2)
        return first, ((32, 64, 16), 4, 2), ((32, 32, 16), 4, 2)
    if linear:
        return ((32, 64, 32), 8, 2), ((32, 32, 32), 4, 2)
    few, many = ((64, 64, 32), 4, 2), ((64, 64, 32), 8, 3 if weight == "fp16" else 2)
    # From 9.0 on one instruction multiplies with four warps; on earlier GPUs more warps share out the registers.
    return (*((few, many) if architecture >= 90 else (many, few)), ((32, 64, 32), 8, 2), ((32, 32, 32), 4, 2))


def _layer(weight: str, outputs: int) -> tuple[_Choice, ...]:
    """Choose tilings for the convolution of a layer.

    A tile is as wide as the outputs that the packed weights have, up to 64: more would take the registers that keep
    several blocks side by side.
    """
    width = _layer_width(outputs)
    if weight == "fp32":
        return ((64, width), 8, 2), ((32, width), 4, 2), ((32, min(width, 32)), 4, 2)
    return ((64, width), 4, 2), ((64, width), 8, 2), ((32, min(width, 32)), 4, 2)


def _layer_width(outputs: int) -> int:
    return min(_round_to_power(outputs, 16), 64)


_WIDEST = {"fp32": 32, "fp16": 64, "int8": 64}
"""Most input channels of a step."""


def split_channels(channels: int, weight: NumberType) -> tuple[int, int]:
    """Split input channels into whole blocks and a rest.

    Both are powers of two, at least what tensor cores take. Channels that nearly fill one block get one.

    Args:
        channels: C of a layer.
        weight: type of the weights.

    Returns:
        Width of a block, and that of the rest or 0; whole blocks and the rest hold all channels.
    """
    least = 32 if weight == "int8" else 16
    above = _round_to_power(channels, least)
    if above <= _WIDEST[weight] and (channels > above * 3 // 4 or above == least):
        return above, 0
    width = min(above if above == channels else above // 2, _WIDEST[weight])
    rest = channels % width
    return width, _round_to_power(rest, least) if rest else 0


def _round_to_power(number: int, least: int) -> int:
    """Round up to a power of two from `least`."""
    return max(least, 1 << (number - 1).bit_length())


def _attention(x: str, block: int) -> tuple[_Choice, ...]:
    """Choose tilings for attention.

    `block` is the number of channels of queries and of values, which are not split. The other sizes are the queries and
    keys of a tile.
    """
    if block <= 32:
        rows = 32 if x == "fp32" else 64
        return ((rows, 32), 4, 2), ((rows, 16), 4, 2), ((16, 16), 4, 2)
    rows = 64 if x == "fp16" else 32 if block <= 64 else 16
    return ((rows, 16), 8, 2), ((rows // 2, 16), 8, 2), ((rows, 32), 8, 2), ((16, 16), 4, 2)
