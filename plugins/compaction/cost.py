"""Cost of compacting a mask."""

from __future__ import annotations

from ..cost import BYTES, COUNT_BYTES, INDEX_BYTES, Activity, Launch, NumberType


def compact(activity: Activity, mask_kind: NumberType = "fp16") -> tuple[Launch, ...]:
    """The list of active pixels: counters cleared, mask read once, one index written for each active pixel."""
    counts = activity.batch * COUNT_BYTES
    written = sum(activity.active) * INDEX_BYTES + counts
    return (
        Launch("clear", written=counts),
        Launch("compact_mask", counts + activity.batch * activity.pixels * BYTES[mask_kind], written),
    )
