"""Cost of `SparseConv2d`."""

from __future__ import annotations

from ..compaction.cost import compact
from ..cost import (
    BYTES,
    COUNT_BYTES,
    INDEX_BYTES,
    PACKED,
    REST,
    SCALE_BYTES,
    Activity,
    Launch,
    Layout,
    NumberType,
    _read_channels,
    _round_up,
    stored_channels,
)


def needed_products(activity: Activity, channels: int, outputs: int) -> int:
    """Multiply-adds of a convolution that its definition asks for: the least that any kernel can do."""
    return sum(activity.pairs) * channels * outputs


def sparse_conv2d(
    activity: Activity,
    channels: int,
    outputs: int,
    kernel: int,
    *,
    kind: NumberType = "fp16",
    x_kind: NumberType | None = None,
    out_kind: NumberType | None = None,
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


def dense_conv2d(
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
