"""Cost of compacting a mask."""

from __future__ import annotations

from dataclasses import replace

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


def count_index(activity: Activity, mask_kind: NumberType = "fp16") -> tuple[Launch, ...]:
    """Count the launches of one call of `SparseIndex`.

    The counters are cleared, the mask is read once, and an index and a word of taps are written for each active pixel.
    """
    clear, compact = count_compaction(activity, mask_kind)
    taps = sum(activity.active) * INDEX_BYTES
    return clear, replace(compact, name="compact_neighbours", written=compact.written + taps)
