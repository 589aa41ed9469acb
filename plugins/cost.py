"""What one call of a sparse operator costs: bytes moved and multiply-adds done, launch by launch, from its shapes.

Counted is what the kernels do, not an ideal. Bytes: every distinct byte of each array that a launch reads or writes,
once; that is the traffic with memory as long as the caches hold what neighbours share. Multiply-adds: those of the
matrix products on whole tiles, absent neighbours, padding and the last tile's empty rows included. Exponentials are
counted; other element-wise arithmetic is not, it hides behind the bytes. Tests count all of it in interpreted kernels.

>>> from spair.plugins.sparse_conv2d.cost import sparse_conv2d
>>> mask = Activity(pixels=1920 * 1080, active=(207_360,), neighbours=(300_000,), pairs=(1_000_000,))
>>> launches = sparse_conv2d(mask, channels=48, outputs=48, kernel=3)
>>> [launch.name for launch in launches]
['pack_weight', 'clear', 'compact_mask', 'clear', 'sparse_conv2d']
>>> total(launches).written // 2**20  # most of it zeros at clean pixels
209
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

NumberType = Literal["fp32", "fp16", "int8"]
Layout = Literal["linear", "pixels"]

BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
INDEX_BYTES = COUNT_BYTES = SCALE_BYTES = 4
MOMENTS_BYTES = 6 * 4
"""Count, mean and squared distances, of the clean and of the distorted pixels, in FP32."""
AFFINE_BYTES = 2 * 4
PACKED = 16
"""The packed weights have columns of whole multiples of this."""
REST = {"fp32": 16, "fp16": 16, "int8": 32}
"""Input channels beyond whole blocks are multiplied in blocks of this."""


@dataclass(frozen=True)
class Launch:
    """One kernel or memset."""

    name: str
    read: int = 0
    """Bytes."""
    written: int = 0
    """Bytes."""
    products: int = 0
    """Multiply-adds of matrix products, on tensor cores for FP16 and INT8."""
    kind: NumberType = "fp32"
    """Of the factors."""
    exponentials: int = 0

    @property
    def bytes(self) -> int:
        """Read and written."""
        return self.read + self.written


def total(launches: Iterable[Launch]) -> Launch:
    """Their sum, under the kind of those that multiply."""
    parts = list(launches)
    kinds = {part.kind for part in parts if part.products}
    if len(kinds) > 1:
        raise ValueError(f"products of {' and '.join(sorted(kinds))} cannot be added up; sum them kind by kind")
    sums = {
        field: sum(getattr(part, field) for part in parts) for field in ("read", "written", "products", "exponentials")
    }
    return Launch("total", kind=kinds.pop() if kinds else "fp32", **sums)


@dataclass(frozen=True)
class Activity:
    """What a batch of masks asks of a convolution; every tuple has one entry an image."""

    pixels: int
    """Of an image."""
    active: tuple[int, ...]
    """Distorted pixels."""
    neighbours: tuple[int, ...]
    """Distinct pixels under the taps of active ones, inside the picture."""
    pairs: tuple[int, ...]
    """Pairs of an active pixel and a tap with a pixel under it that is read."""

    def __post_init__(self) -> None:
        if not len(self.active) == len(self.neighbours) == len(self.pairs):
            raise ValueError(f"expected one number an image, got {self}")
        for active, neighbours in zip(self.active, self.neighbours, strict=True):
            if not 0 <= active <= neighbours <= self.pixels:
                raise ValueError(f"expected 0 <= active <= neighbours <= pixels, got {self}")

    @property
    def batch(self) -> int:
        """Images."""
        return len(self.active)


def measure_activity(mask: np.ndarray, kernel: int = 1, dilation: int = 1, *, clean_input: bool = False) -> Activity:
    """Count a mask [N,1,H,W], active where not 0."""
    on = np.asarray(mask)[:, 0] != 0
    n, height, width = on.shape
    under = np.zeros_like(on)
    pairs = np.zeros(n, np.int64)
    reach = range(-(kernel // 2) * dilation, kernel // 2 * dilation + 1, dilation)
    for down in reach:
        for right in reach:
            if abs(down) >= height or abs(right) >= width:
                continue
            here = (
                slice(None),
                slice(max(-down, 0), height - max(down, 0)),
                slice(max(-right, 0), width - max(right, 0)),
            )
            there = (
                slice(None),
                slice(max(down, 0), height + min(down, 0)),
                slice(max(right, 0), width + min(right, 0)),
            )
            under[there] |= on[here]
            pairs += (on[here] & (on[there] | clean_input)).sum((1, 2))
    counts = (tuple(int(count) for count in part) for part in (on.sum((1, 2)), under.sum((1, 2)), pairs))
    return Activity(height * width, *counts)


def assume_activity(batch: int, height: int, width: int, density: float, kernel: int = 1) -> Activity:
    """The most that masks of a density (0..1) can ask for: no two active pixels share a neighbour."""
    pixels = height * width
    active = round(density * pixels)
    each = (active, min(active * kernel**2, pixels), active * kernel**2)
    return Activity(pixels, *((count,) * batch for count in each))


def stored_channels(channels: int, layout: Layout, kind: NumberType) -> int:
    """Channels that take memory: "pixels" is kHWC for FP32, kHWC8 for FP16 and kCHW32 for INT8, which pad."""
    step = {"fp32": 1, "fp16": 8, "int8": 32}[kind] if layout == "pixels" else 1
    return _round_up(channels, step)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _read_channels(channels: int, layout: Layout, kind: NumberType) -> int:
    """Channels read of a pixel: padding is read with FP16, to keep the reads wide, and with INT8."""
    return stored_channels(channels, layout, kind)
