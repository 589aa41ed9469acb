"""Bytes and multiply-adds of one call of an operator.

Each operator counts its own launches in its `cost.py`; this module holds what they share. The counts follow from shapes
and masks, and describe what the kernels do, not an ideal.

Bytes are every distinct byte of each array that a launch reads or writes, counted once. That is the traffic with memory
as long as the caches hold what neighbours share. Multiply-adds are those of the matrix products on whole tiles: absent
neighbours, padding and the empty rows of the last tile are included. Exponentials are counted. Other element-wise
arithmetic is not counted, because it hides behind the bytes. Tests count all of it in interpreted kernels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

NumberType = Literal["fp32", "fp16", "int8"]
Layout = Literal["linear", "pixels"]

NUMBER_BYTES: dict[NumberType, int] = {"fp32": 4, "fp16": 2, "int8": 1}
INDEX_BYTES = COUNT_BYTES = SCALE_BYTES = 4
CHANNEL_STEP: dict[NumberType, int] = {"fp32": 1, "fp16": 8, "int8": 32}
"""Channels of the layout "pixels" are padded to a multiple of this: kHWC, kHWC8 and kCHW32 of TensorRT."""


@dataclass(frozen=True)
class Launch:
    """One kernel or memset and the work that it does."""

    name: str
    read: int = 0
    """Bytes read."""
    written: int = 0
    """Bytes written."""
    products: int = 0
    """Multiply-adds of matrix products, on tensor cores for FP16 and INT8."""
    kind: NumberType = "fp32"
    """Type of the factors of these products."""
    exponentials: int = 0

    @property
    def bytes(self) -> int:
        """Bytes read and written together."""
        return self.read + self.written


def sum_launches(launches: Iterable[Launch]) -> Launch:
    """Add up launches that multiply numbers of one type.

    Raises:
        ValueError: the launches multiply numbers of different types.
    """
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
    """Distorted pixels and their neighbours in a batch of masks.

    Every tuple has one entry for each image. "Active" pixels are the distorted ones.
    """

    pixels: int
    """Pixels of one image."""
    active: tuple[int, ...]
    """Active pixels."""
    neighbours: tuple[int, ...]
    """Distinct pixels under the taps of active pixels, inside the picture."""
    pairs: tuple[int, ...]
    """Pairs of an active pixel and a tap whose pixel is read."""

    def __post_init__(self) -> None:
        if not len(self.active) == len(self.neighbours) == len(self.pairs):
            raise ValueError(f"expected one number an image, got {self}")
        for active, neighbours in zip(self.active, self.neighbours, strict=True):
            if not 0 <= active <= neighbours <= self.pixels:
                raise ValueError(f"expected 0 <= active <= neighbours <= pixels, got {self}")

    @property
    def batch(self) -> int:
        """Number of images."""
        return len(self.active)


def measure_activity(mask: np.ndarray, kernel: int = 1, dilation: int = 1, *, clean_input: bool = False) -> Activity:
    """Count the active pixels of a mask and their neighbours.

    Args:
        mask: [N,1,H,W], any type; a pixel is active where it is not 0.
        kernel: side of the convolution's window in taps, odd.
        dilation: distance of neighbouring taps in pixels.
        clean_input: whether taps read clean pixels as well.
    """
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


def pad_channels(channels: int, layout: Layout, kind: NumberType) -> int:
    """Count the channels that take memory, padding included.

    Kernels read the padding as well: with FP16 so that every read is 16 bytes wide, with INT8 because zero weights
    meet it.
    """
    return round_up(channels, CHANNEL_STEP[kind] if layout == "pixels" else 1)


def round_up(number: int, step: int) -> int:
    """Round up to a multiple of `step`."""
    return -(-number // step) * step
