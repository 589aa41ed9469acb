"""Cost of `SparseNonLocal` and of dense attention."""

from __future__ import annotations

from collections.abc import Sequence

from ..compaction.cost import count_compaction
from ..cost import COUNT_BYTES, INDEX_BYTES, NUMBER_BYTES, Activity, Launch, Layout, NumberType, pad_channels, round_up


def count_sparse_non_local(
    activity: Activity,
    clean_keys: Sequence[int],
    keys: int,
    channels: int,
    outputs: int,
    *,
    kind: NumberType = "fp16",
    layout: Layout = "pixels",
    clear_output: bool = True,
    listed: bool = False,
    tile: tuple[int, int, int] = (64, 32, 32),
) -> tuple[Launch, ...]:
    """Count the launches of one call of `SparseNonLocal`.

    Args:
        activity: activity of the queries' mask.
        clean_keys: number of clean keys of each image.
        keys: number of all keys of an image, K * L.
        channels: C of queries and keys.
        outputs: D of values.
        kind: type of all tensors.
        layout: layout of queries and of the output.
        clear_output: whether clean pixels of the output become zero.
        listed: whether the list of active queries is given.
        tile: queries, keys and channels (of queries and of values alike) of a step.
    """
    size, (bm, bj, width) = NUMBER_BYTES[kind], tile
    stored, active, images = pad_channels(outputs, layout, kind), sum(activity.active), activity.batch
    launches = [] if listed else [*count_compaction(activity, kind)]
    if clear_output:
        launches.append(Launch("clear", written=images * activity.pixels * stored * size))
    read = images * COUNT_BYTES + active * (INDEX_BYTES + pad_channels(channels, layout, kind) * size)
    products = exponentials = 0
    for queries, clean in zip(activity.active, clean_keys, strict=True):
        if queries:
            read += (keys + clean * (channels + outputs)) * size
        rows, steps = round_up(queries, bm), -(-keys // bj)
        products += rows * steps * bj * 2 * width
        exponentials += rows * steps * (bj + 1)
    launches.append(Launch("sparse_non_local", read, active * stored * size, products, kind, exponentials))
    return tuple(launches)


def count_dense_non_local(
    batch: int, pixels: int, keys: int, channels: int, outputs: int, *, kind: NumberType = "fp16"
) -> Launch:
    """Count dense attention over all keys at its best.

    Scores never leave the chip: only queries, keys, values, masks and the output are moved.
    """
    size = NUMBER_BYTES[kind]
    read = batch * (pixels * channels + keys * (channels + outputs + 1)) * size
    products = batch * pixels * keys * (channels + outputs)
    return Launch("dense_non_local", read, batch * pixels * outputs * size, products, kind, batch * pixels * keys)
