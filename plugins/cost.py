"""What one call of a sparse operator costs: bytes moved and multiply-adds done, launch by launch, from its shapes.

Counted is what the kernels do, not an ideal. Bytes: every distinct byte of each array that a launch reads or writes,
once; that is the traffic with memory as long as the caches hold what neighbours share. Multiply-adds: those of the
matrix products on whole tiles, absent neighbours, padding and the last tile's empty rows included. Exponentials are
counted; other element-wise arithmetic is not, it hides behind the bytes. Tests count all of it in interpreted kernels.

>>> mask = Activity(pixels=1920 * 1080, active=(207_360,), neighbours=(300_000,), pairs=(1_000_000,))
>>> launches = sparse_conv2d(mask, channels=48, outputs=48, kernel=3)
>>> [launch.name for launch in launches]
['pack_weight', 'clear', 'compact_mask', 'clear', 'sparse_conv2d']
>>> total(launches).written // 2**20  # most of it zeros at clean pixels
209
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["fp32", "fp16", "int8"]
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
    kind: Kind = "fp32"
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


def needed_products(activity: Activity, channels: int, outputs: int) -> int:
    """Multiply-adds of a convolution that its definition asks for: the least that any kernel can do."""
    return sum(activity.pairs) * channels * outputs


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


def stored_channels(channels: int, layout: Layout, kind: Kind) -> int:
    """Channels that take memory: "pixels" is kHWC for FP32, kHWC8 for FP16 and kCHW32 for INT8, which pad."""
    step = {"fp32": 1, "fp16": 8, "int8": 32}[kind] if layout == "pixels" else 1
    return _round_up(channels, step)


def compact(activity: Activity, mask_kind: Kind = "fp16") -> tuple[Launch, ...]:
    """The list of active pixels: counters cleared, mask read once, one index written for each active pixel."""
    counts = activity.batch * COUNT_BYTES
    written = sum(activity.active) * INDEX_BYTES + counts
    return (
        Launch("clear", written=counts),
        Launch("compact_mask", counts + activity.batch * activity.pixels * BYTES[mask_kind], written),
    )


def sparse_conv2d(
    activity: Activity,
    channels: int,
    outputs: int,
    kernel: int,
    *,
    kind: Kind = "fp16",
    x_kind: Kind | None = None,
    out_kind: Kind | None = None,
    layouts: tuple[Layout, Layout] = ("pixels", "pixels"),
    clean_input: bool = False,
    residual: bool = False,
    clear_output: bool = True,
    tile: tuple[int, int, int] = (64, 64, 32),
) -> tuple[Launch, ...]:
    """One call of SparseConv2d and its forms.

    Args:
        activity: of the mask, for this kernel size and `clean_input`.
        channels: C of x.
        outputs: D.
        kernel: k.
        kind: of the weights and of the products.
        x_kind: of x in memory; None: that of the weights. Others become INT8 as they are read.
        out_kind: of the rest; None: that of x, or FP16 where x is INT8.
        layouts: of x and out.
        clean_input: see README.md of the operator; so are `residual` and `clear_output`.
        tile: pixels, output channels and input channels of a step.
    """
    of_x = x_kind or kind
    of_out = out_kind or ("fp16" if of_x == "int8" else of_x)
    size, out_size, taps = BYTES[kind], BYTES[of_out], kernel * kernel
    columns, stored = _round_up(outputs, PACKED), stored_channels(outputs, layouts[1], of_out)
    packed = taps * (_round_up(channels, 32) if kind == "int8" else channels) * columns * size
    active, images = sum(activity.active), activity.batch
    launches = [Launch("pack_weight", outputs * channels * taps * size, packed)]
    if kind == "int8":
        launches.append(Launch("combine_scales", (outputs + 1) * SCALE_BYTES, outputs * SCALE_BYTES))
    launches += compact(activity, of_out)
    if clear_output:
        launches.append(Launch("clear", written=images * activity.pixels * stored * out_size))
    read = images * COUNT_BYTES + active * INDEX_BYTES + sum(activity.neighbours) * out_size
    gathered = sum(activity.neighbours if clean_input else activity.active)
    read += gathered * _read_channels(channels, layouts[0], of_x) * BYTES[of_x]
    if residual:
        read += active * stored * out_size
    if active:
        read += packed + outputs * out_size + (outputs * SCALE_BYTES if kind == "int8" else 0)
        read += SCALE_BYTES if of_x != kind else 0
    bm, bn, bk = tile
    rows = sum(_round_up(count, bm) for count in activity.active)
    multiplied = channels // bk * bk + _round_up(channels % bk, REST[kind])
    products = rows * taps * multiplied * _round_up(outputs, bn)
    launches.append(Launch("sparse_conv2d", read, active * stored * out_size, products, kind))
    return tuple(launches)


def sparse_non_local(
    activity: Activity,
    clean_keys: Sequence[int],
    keys: int,
    channels: int,
    outputs: int,
    *,
    kind: Kind = "fp16",
    layout: Layout = "pixels",
    clear_output: bool = True,
    tile: tuple[int, int, int] = (64, 32, 32),
) -> tuple[Launch, ...]:
    """One call of SparseNonLocal.

    Args:
        activity: of the mask of queries.
        clean_keys: of each image.
        keys: K * L of an image.
        channels: C of queries and keys.
        outputs: D of values.
        kind: of all tensors.
        layout: of queries and out.
        clear_output: whether clean pixels become zero.
        tile: queries, keys and channels (of queries and of values alike) of a step.
    """
    size, (bm, bj, width) = BYTES[kind], tile
    stored, active, images = stored_channels(outputs, layout, kind), sum(activity.active), activity.batch
    launches = [*compact(activity, kind)]
    if clear_output:
        launches.append(Launch("clear", written=images * activity.pixels * stored * size))
    read = images * COUNT_BYTES + active * (INDEX_BYTES + _read_channels(channels, layout, kind) * size)
    products = exponentials = 0
    for queries, clean in zip(activity.active, clean_keys, strict=True):
        if queries:
            read += (keys + clean * (channels + outputs)) * size
        rows, steps = _round_up(queries, bm), -(-keys // bj)
        products += rows * steps * bj * 2 * width
        exponentials += rows * steps * (bj + 1)
    launches.append(Launch("sparse_non_local", read, active * stored * size, products, kind, exponentials))
    return tuple(launches)


def masked_modulation(
    batch: int,
    pixels: int,
    channels: int,
    *,
    kind: Kind = "fp16",
    layout: Layout = "pixels",
    block: int = 64,
) -> tuple[Launch, ...]:
    """One call of MaskedModulation: x is read twice and written once, whatever the mask; `block` pixels a program."""
    size, stored = BYTES[kind], stored_channels(channels, layout, kind)
    mask, planes, values = batch * pixels * BYTES[kind], batch * channels, batch * pixels * stored * size
    partial = planes * -(-pixels // block) * MOMENTS_BYTES
    return (
        Launch("masked_moments", values + mask, partial),
        Launch("merge_moments", partial, planes * AFFINE_BYTES),
        Launch("apply_affine", values + mask + planes * AFFINE_BYTES, values),
    )


def dense_conv2d(
    batch: int,
    pixels: tuple[int, int],
    channels: int,
    outputs: int,
    kernel: int,
    *,
    kind: Kind = "fp16",
    out_kind: Kind | None = None,
    residual: bool = False,
) -> Launch:
    """The convolution of all pixels, at its best: x and weights read once, all fused, nothing padded or re-packed.

    Args:
        batch: images.
        pixels: of an image of x and of out, which strides make different.
        channels: C; so is `outputs` D and `kernel` k.
        kind: of x and the weights; `out_kind` that of the rest.
        residual: whether one is added.
    """
    of_out = out_kind or ("fp16" if kind == "int8" else kind)
    weights = kernel * kernel * channels * outputs
    out = batch * pixels[1] * outputs * BYTES[of_out]
    read = (batch * pixels[0] * channels + weights) * BYTES[kind] + outputs * BYTES[of_out] + (out if residual else 0)
    return Launch("dense_conv2d", read, out, batch * pixels[1] * weights, kind)


def dense_non_local(batch: int, pixels: int, keys: int, channels: int, outputs: int, *, kind: Kind = "fp16") -> Launch:
    """Attention of all pixels over all keys, at its best: scores never leave the chip."""
    size = BYTES[kind]
    read = batch * (pixels * channels + keys * (channels + outputs + 1)) * size
    products = batch * pixels * keys * (channels + outputs)
    return Launch("dense_non_local", read, batch * pixels * outputs * size, products, kind, batch * pixels * keys)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _read_channels(channels: int, layout: Layout, kind: Kind) -> int:
    """Channels read of a pixel: padding is read with FP16, to keep the reads wide, and with INT8."""
    return stored_channels(channels, layout, kind)
