"""Cost of `MaskedModulation`."""

from __future__ import annotations

from ..cost import AFFINE_BYTES, BYTES, MOMENTS_BYTES, Launch, Layout, NumberType, stored_channels


def masked_modulation(
    batch: int,
    pixels: int,
    channels: int,
    *,
    kind: NumberType = "fp16",
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
