"""Cost of `SparseCompose`."""

from __future__ import annotations

from ..cost import NUMBER_BYTES, Activity, Launch, Layout, NumberType, pad_channels


def count_sparse_compose(
    activity: Activity, channels: int, *, kind: NumberType = "fp16", layout: Layout = "pixels"
) -> tuple[Launch, ...]:
    """Count the only launch of `SparseCompose`.

    The picture is read and written once, the residual is read at distorted pixels.

    Args:
        activity: activity of the mask.
        channels: C of the picture.
        kind: type of the residual and of the mask.
        layout: layout of the residual.
    """
    size, pixels = NUMBER_BYTES[kind], activity.batch * activity.pixels
    picture = pixels * channels * NUMBER_BYTES["fp32"]
    residual = sum(activity.active) * pad_channels(channels, layout, kind) * size
    return (Launch("compose_pixels", picture + pixels * size + residual, picture),)
