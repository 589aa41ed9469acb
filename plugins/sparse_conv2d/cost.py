"""Cost of `SparseConv2d` and of the dense convolution.

>>> mask = Activity(pixels=1920 * 1080, active=(207_360,), neighbours=(300_000,), pairs=(1_000_000,))
>>> launches = count_sparse_conv2d(mask, channels=48, outputs=48, kernel=3)
>>> [launch.name for launch in launches]
['pack_weight', 'clear', 'compact_mask', 'clear', 'sparse_conv2d']
>>> sum(launch.written for launch in launches) // 2**20  # MiB, most of them zeros at clean pixels
209
"""

from __future__ import annotations

from typing import Literal

from ..compaction.cost import count_compaction
from ..cost import (
    COUNT_BYTES,
    INDEX_BYTES,
    NUMBER_BYTES,
    SCALE_BYTES,
    Activity,
    Launch,
    Layout,
    NumberType,
    pad_channels,
    round_up,
)

Gives = Literal["float", "int8", "both"]
"""Types in which an output is written; both are one behind the other."""
PACKED_STEP = 16
"""Columns of the packed weights are a multiple of this."""
REST_STEP: dict[NumberType, int] = {"fp32": 16, "fp16": 16, "int8": 32}
"""Input channels beyond whole blocks are multiplied in blocks of this."""


def count_sparse_conv2d(
    activity: Activity,
    channels: int,
    outputs: int,
    kernel: int,
    *,
    kind: NumberType = "fp16",
    x_kind: NumberType | None = None,
    out_kind: NumberType | None = None,
    gives: Gives = "float",
    layouts: tuple[Layout, Layout] = ("pixels", "pixels"),
    clean_input: bool = False,
    joined: int = 0,
    residual: bool = False,
    clear_output: bool = True,
    listed: bool = False,
    tile: tuple[int, int, int] = (64, 64, 32),
) -> tuple[Launch, ...]:
    """Count the launches of `SparseConv2d` or of its forms.

    Args:
        activity: activity of the mask, for this kernel size and `clean_input`.
        channels: C of x.
        outputs: D of the output.
        kernel: k, the side of the window in taps.
        kind: type of the weights and of the products.
        x_kind: type of x in memory; None stands for the type of the weights. Another x becomes INT8 as it is read.
        out_kind: type of mask, bias, residual and output; None stands for the type of x, or FP16 where x is INT8.
        gives: whether the output is written in its type, quantized, or both; INT8 without its padding.
        layouts: layouts of x and of the output.
        clean_input: whether clean neighbours are read, see README.md of the operator.
        joined: the last channels of x, which lie in a tensor of their own.
        residual: whether a residual is added.
        clear_output: whether clean pixels of the output become zero.
        listed: whether the list of active pixels, packed weights and multiplied scales are given.
        tile: pixels, output channels and input channels of a step.
    """
    of_x = x_kind or kind
    of_out = out_kind or ("fp16" if of_x == "int8" else of_x)
    size, out_size, taps = NUMBER_BYTES[kind], NUMBER_BYTES[of_out], kernel * kernel
    columns, stored = round_up(outputs, PACKED_STEP), pad_channels(outputs, layouts[1], of_out)
    packed = taps * (round_up(channels, 32) if kind == "int8" else channels) * columns * size
    active, images = sum(activity.active), activity.batch
    weights = (outputs * channels * taps * size, packed)
    launches = [] if listed else _count_preparation(activity, weights, outputs, kind, of_out)
    filled = (stored * out_size, pad_channels(outputs, layouts[1], "int8"))
    launches += _list_clears(activity, filled, gives) if clear_output else []
    read = images * COUNT_BYTES + active * INDEX_BYTES + sum(activity.neighbours) * out_size
    gathered = sum(activity.neighbours if clean_input else activity.active)
    parts = (channels - joined, joined) if joined else (channels,)
    read += gathered * sum(pad_channels(part, layouts[0], of_x) for part in parts) * NUMBER_BYTES[of_x]
    read += active * stored * out_size if residual else 0
    if active:
        read += packed + outputs * out_size + (outputs * SCALE_BYTES if kind == "int8" else 0)
        read += SCALE_BYTES if of_x != kind else 0
    products = taps * _count_products(activity, channels, outputs, REST_STEP[kind], tile)
    given = stored * out_size * (gives != "int8") + outputs * (gives != "float")
    launches.append(Launch("sparse_conv2d", read, active * given, products, kind))
    return tuple(launches)


def _list_clears(activity: Activity, filled: tuple[int, int], gives: Gives) -> list[Launch]:
    """List the launches that set outputs to zero.

    `filled` are the bytes of a pixel in the output's type, and in INT8.
    """
    sizes = {"float": filled[:1], "int8": filled[1:], "both": filled}[gives]
    return [Launch("clear", written=activity.batch * activity.pixels * size) for size in sizes]


def _count_preparation(
    activity: Activity, weights: tuple[int, int], outputs: int, kind: NumberType, mask: NumberType
) -> list[Launch]:
    """Count what comes before a convolution without a list.

    `weights` are the bytes of the weights and of the packed ones.
    """
    launches = [Launch("pack_weight", *weights)]
    if kind == "int8":
        launches.append(Launch("combine_scales", (outputs + 1) * SCALE_BYTES, outputs * SCALE_BYTES))
    return [*launches, *count_compaction(activity, mask)]


def _count_products(activity: Activity, channels: int, outputs: int, rest_step: int, tile: tuple[int, int, int]) -> int:
    """Count the multiply-adds of one tap on whole tiles."""
    bm, bn, bk = tile
    rows = sum(round_up(count, bm) for count in activity.active)
    multiplied = channels // bk * bk + round_up(channels % bk, rest_step)
    return rows * multiplied * round_up(outputs, bn)


def count_dense_conv2d(
    batch: int,
    pixels: tuple[int, int],
    channels: int,
    outputs: int,
    kernel: int,
    *,
    kind: NumberType = "fp16",
    out_kind: NumberType | None = None,
    residual: bool = False,
) -> Launch:
    """Count a convolution of all pixels at its best.

    x and the weights are read once, everything is fused, and nothing is padded or packed again.

    Args:
        batch: images.
        pixels: pixels of an image of x and of an image of the output; strides make them different.
        channels: C of x.
        outputs: D of the output.
        kernel: k, the side of the window in taps.
        kind: type of x and of the weights.
        out_kind: type of bias, residual and output; None stands for the type of x, or FP16 where x is INT8.
        residual: whether a residual is added.
    """
    of_out = out_kind or ("fp16" if kind == "int8" else kind)
    weights = kernel * kernel * channels * outputs
    out = batch * pixels[1] * outputs * NUMBER_BYTES[of_out]
    read = (
        (batch * pixels[0] * channels + weights) * NUMBER_BYTES[kind]
        + outputs * NUMBER_BYTES[of_out]
        + (out if residual else 0)
    )
    return Launch("dense_conv2d", read, out, batch * pixels[1] * weights, kind)
