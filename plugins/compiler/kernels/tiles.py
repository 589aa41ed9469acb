"""Tile sizes per kernel and architecture: what a program of the grid computes, and with how many warps.

Chosen by compiling: no registers spilled on any architecture, tensor cores used where the types have them, and as many
blocks side by side as that leaves. No choice was timed: that needs the GPU of the target.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tiling:
    """How a kernel is cut."""

    names: tuple[str, ...]
    """The kernel's constants that are sizes, in the order in which the plugins expect them."""
    sizes: tuple[int, ...]
    """Their values, powers of two."""
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
        """The kernel's constants; a name such as "BC+BD" gives one size to two of them."""
        return {part: size for name, size in zip(self.names, self.sizes, strict=True) for part in name.split("+")}


def list_tilings(function: str, parts: tuple[str, ...], architecture: int) -> tuple[Tiling, ...]:
    """The tilings of a kernel, best choice first.

    Args:
        function: the kernel.
        parts: the further parts of the variant's name.
        architecture: compute capability.
    """
    if function == "sparse_conv2d":
        return _make(("BM", "BN", "BK"), *_convolution(parts[0], parts[1], parts[3], architecture))
    if function == "sparse_non_local":
        block = int(parts[2].removeprefix("b"))
        return _make(
            ("BM", "BJ", "BC+BD"),
            *(((*rows, block), warps, stages) for rows, warps, stages in _attention(parts[0], block)),
        )
    if function in ("masked_moments", "apply_affine"):
        pixels, channels = (128, 16) if parts[1] == "linear" else (64, 32)
        return _make(("BP", "BC"), ((pixels, channels), 4, 3), ((pixels // 2, channels), 4, 3))
    return _make(("BLOCK",), ((1024,) if function == "compact_mask" else (256,), 4, 3))


_Choice = tuple[tuple[int, ...], int, int]
"""Sizes, warps, stages."""


def _make(names: tuple[str, ...], *choices: _Choice) -> tuple[Tiling, ...]:
    return tuple(Tiling(names, *choice) for choice in choices)


def _convolution(x: str, weight: str, layout: str, architecture: int) -> tuple[_Choice, ...]:
    """Channel by channel ("linear") every element of a tile is an address of its own: smaller tiles."""
    linear = layout == "linear"
    if weight == "fp32":  # exact FP32 products: no tensor cores, the accumulators lie in registers
        first: _Choice = ((32, 64, 32), 4, 2) if linear else ((64, 64, 16), 8, 2)
        return first, ((32, 64, 16), 4, 2), ((32, 32, 16), 4, 2)
    if linear:
        return ((32, 64, 32), 8, 2), ((32, 32, 32), 4, 2)
    few, many = ((64, 64, 32), 4, 2), ((64, 64, 32), 8, 3 if weight == "fp16" else 2)
    # From 9.0 on four warps are what one instruction multiplies with; before, more warps share out the registers.
    return (*((few, many) if architecture >= 90 else (many, few)), ((32, 64, 32), 8, 2), ((32, 32, 32), 4, 2))


def _attention(x: str, block: int) -> tuple[_Choice, ...]:
    """`block` channels of queries and of values, none of which is split; the rest are queries and keys of a tile."""
    if block <= 32:
        rows = 32 if x == "fp32" else 64
        return ((rows, 32), 4, 2), ((rows, 16), 4, 2), ((16, 16), 4, 2)
    rows = 64 if x == "fp16" else 32 if block <= 64 else 16
    return ((rows, 16), 8, 2), ((rows // 2, 16), 8, 2), ((rows, 32), 8, 2), ((16, 16), 4, 2)
