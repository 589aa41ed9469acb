"""Cost of compacting a mask."""

from __future__ import annotations

from ..cost import COUNT_BYTES, INDEX_BYTES, NUMBER_BYTES, Activity, Launch, NumberType


def count_compaction(activity: Activity, mask_kind: NumberType = "fp16") -> tuple[Launch, ...]:
    """Count the launches that list a mask's active pixels.

    The counters are cleared, the mask is read once, and one index is written for each active pixel.
    """
    counts = activity.batch * COUNT_BYTES
    written = sum(activity.active) * INDEX_BYTES + counts
    return (
        Launch("clear", written=counts),
        Launch("compact_mask", counts + activity.batch * activity.pixels * NUMBER_BYTES[mask_kind], written),
    )
