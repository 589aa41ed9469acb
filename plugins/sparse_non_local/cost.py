"""Cost of `SparseNonLocal`."""

from __future__ import annotations

from collections.abc import Sequence

from ..compaction.cost import compact
from ..cost import (
    BYTES,
    COUNT_BYTES,
    INDEX_BYTES,
    Activity,
    Launch,
    Layout,
    NumberType,
    _read_channels,
    _round_up,
    stored_channels,
)


def sparse_non_local(
    activity: Activity,
    clean_keys: Sequence[int],
    keys: int,
    channels: int,
    outputs: int,
    *,
    kind: NumberType = "fp16",
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


def dense_non_local(
    batch: int, pixels: int, keys: int, channels: int, outputs: int, *, kind: NumberType = "fp16"
) -> Launch:
    """Attention of all pixels over all keys, at its best: scores never leave the chip."""
    size = BYTES[kind]
    read = batch * (pixels * channels + keys * (channels + outputs + 1)) * size
    products = batch * pixels * keys * (channels + outputs)
    return Launch("dense_non_local", read, batch * pixels * outputs * size, products, kind, batch * pixels * keys)
