"""Cost of `MaskedModulation`."""

from __future__ import annotations

from ..cost import NUMBER_BYTES, Launch, Layout, NumberType, pad_channels

MOMENTS_BYTES = 6 * 4
"""Bytes of a block's moments in FP32: count, mean and squared distances, of clean and of distorted pixels."""
AFFINE_BYTES = 2 * 4
"""Bytes of a channel's scale and shift in FP32."""


def count_masked_modulation(
    batch: int,
    pixels: int,
    channels: int,
    *,
    kind: NumberType = "fp16",
    layout: Layout = "pixels",
    block: int = 64,
) -> tuple[Launch, ...]:
    """Count the launches of one call of `MaskedModulation`.

    x is read twice and written once, whatever the mask.

    Args:
        batch: images.
        pixels: pixels of an image.
        channels: C of x.
        kind: type of x and of the mask.
        layout: layout of x and of the output.
        block: pixels that one program of the grid takes.
    """
    size, stored = NUMBER_BYTES[kind], pad_channels(channels, layout, kind)
    mask, planes, values = batch * pixels * size, batch * channels, batch * pixels * stored * size
    partial = planes * -(-pixels // block) * MOMENTS_BYTES
    return (
        Launch("masked_moments", values + mask, partial),
        Launch("merge_moments", partial, planes * AFFINE_BYTES),
        Launch("apply_affine", values + mask + planes * AFFINE_BYTES, values),
    )
