"""Lists of distorted pixels by the kernels of the processor."""

import numpy as np
import pytest

from spair.plugins.compaction.reference import compact_mask
from tests.plugins.cpu.machine import make_call
from tests.plugins.cpu.rows import MASKS, SIZES, Listed, make_mask

CHUNK = 4096


def neighbours(mask):
    """Return [H, W], bit 3 * (dy + 1) + dx + 1 where that neighbour is distorted."""
    padded = np.pad(mask, 1).astype(np.int64)
    height, width = mask.shape
    return sum(padded[t // 3 : t // 3 + height, t % 3 : t % 3 + width] << t for t in range(9))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", SIZES)
def test_every_distorted_pixel_has_one_row(processor, memory, size, kind):
    mask = make_mask(kind, size)
    expected = compact_mask(mask[None, None].astype(np.float32))[0]
    for ordered in (False, True):
        rows = Listed(processor, memory, mask, ordered=ordered)
        assert rows.count == len(expected)
        y, x = rows.place // rows.wide - 1, rows.place % rows.wide - 1
        found = (y * size[1] + x).tolist()
        assert (sorted(found) if ordered else found) == expected
        np.testing.assert_array_equal(rows.numbers.reshape(-1)[rows.place], np.arange(1, rows.count + 1))
        assert np.count_nonzero(rows.numbers) == rows.count
        if ordered:
            np.testing.assert_array_equal(rows.near, neighbours(mask)[y, x])


def test_rows_are_ordered_by_their_neighbours_inside_chunks(processor, memory):
    mask = make_mask("half", (130, 101))
    rows = Listed(processor, memory, mask)
    pixels = (rows.place // rows.wide - 1) * 101 + rows.place % rows.wide - 1
    assert rows.count > CHUNK
    for begin in range(0, rows.count, CHUNK):
        near, chunk = rows.near[begin : begin + CHUNK].astype(int), pixels[begin : begin + CHUNK]
        np.testing.assert_array_equal(np.sort(chunk), np.flatnonzero(mask)[begin : begin + CHUNK])
        np.testing.assert_array_equal(np.lexsort((chunk, near)), np.arange(len(chunk)))


@pytest.mark.parametrize("kind", MASKS)
def test_masks_are_halved_and_grown(processor, memory, kind):
    for size in ((2, 2), (2, 14), (36, 22)):
        mask = make_mask(kind, size)
        given, height, width = memory.put(mask, np.uint8), size[0] // 2, size[1] // 2
        half, grown = memory.empty((height, width), np.uint8), memory.empty(size, np.uint8)
        processor.run("halve_mask", memory, make_call(given, height, width, half))
        processor.run("grow_mask", memory, make_call(given, *size, grown))
        np.testing.assert_array_equal(half, mask.reshape(height, 2, width, 2).any(axis=(1, 3)))
        np.testing.assert_array_equal(grown, neighbours(mask) != 0)


def test_fine_rows_find_their_quarter_of_a_coarse_row(processor, memory):
    mask = make_mask("few", (38, 26))
    coarse = Listed(processor, memory, mask.reshape(19, 2, 13, 2).any(axis=(1, 3)))
    fine = Listed(processor, memory, mask)
    parents = memory.empty(fine.count, np.int32)
    processor.run("find_parents", memory, make_call(fine.place, fine.count, 26, coarse.numbers, parents))
    y, x = fine.place // 28 - 1, fine.place % 28 - 1
    row = coarse.numbers[y // 2 + 1, x // 2 + 1] - 1
    np.testing.assert_array_equal(parents, 4 * row + 2 * (y % 2) + x % 2)
