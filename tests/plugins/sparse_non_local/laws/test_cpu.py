"""SparseNonLocal on rows, by the kernels of the processor."""

import numpy as np
import pytest

from spair.plugins.sparse_non_local.reference import sparse_non_local
from spair.runtime.cpu.library.structures import RowAttention
from tests.plugins.cpu.machine import pack
from tests.plugins.cpu.rows import MASKS, Listed, make_mask


def attend(processor, memory, rows, query, keys, values, scale):
    """Return [D, H, W] of queries [C, H, W], keys [C, n] and values [D, n], all clean."""
    depth, width = query.shape[0], -(-len(values) // 8) * 8
    wide = np.zeros((values.shape[1], width), np.float32)
    wide[:, : len(values)] = values.T
    barred = np.full(keys.shape[1] + 32, -1e30)
    barred[: keys.shape[1]] = 0
    x, out = rows.pick(memory, query, -(-depth // 8) * 8), memory.empty((rows.count + 1, width))
    arrays = [x, pack(processor, memory, keys), memory.put(barred), pack(processor, memory, wide)]
    arrays += [memory.put(np.zeros(width + 16)), out]
    call = RowAttention(*(array.ctypes.data for array in arrays), rows.count)
    call.stride, call.depth, call.keys_count, call.outputs, call.scale = x.shape[1], depth, keys.shape[1], width, scale
    processor.run("attend_rows_f32", memory, call)
    assert (out[0] == 0).all()
    return rows.spread(out)[: len(values)]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("spread", [0.3, 3.0], ids=["flat", "sharp"])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("count", [1, 16, 37, 256])
def test_any_mask_and_number_of_keys(processor, memory, kind, count, spread):
    random = np.random.default_rng(count)
    mask = make_mask(kind, (9, 11))
    query = (spread * random.standard_normal((20, 9, 11))).astype(np.float32)
    keys, values = (random.standard_normal((depth, count)).astype(np.float32) for depth in (20, 12))
    found = attend(processor, memory, Listed(processor, memory, mask), query, keys, values, 20**-0.5)
    ones, given = np.ones((1, 1, 1, count), np.float32), mask[None, None].astype(np.float32)
    expected = sparse_non_local(query[None], keys[None, :, None], values[None, :, None], given, ones, scale=20**-0.5)
    np.testing.assert_allclose(found, expected[0], rtol=0, atol=2e-5)


def test_without_a_clean_key_the_result_is_zero(processor, memory):
    rows = Listed(processor, memory, np.ones((3, 5), bool))
    query = np.ones((8, 3, 5), np.float32)
    found = attend(processor, memory, rows, query, np.zeros((8, 0), np.float32), np.zeros((8, 0), np.float32), 1.0)
    np.testing.assert_array_equal(found, np.zeros((8, 3, 5)))


def test_scores_of_any_size_give_weights(processor, memory):
    """One key far above the others takes all of the weight; equal ones share it."""
    rows = Listed(processor, memory, np.ones((1, 2), bool))
    keys = np.array([[1e4, -1e4, 0.0]], np.float32)
    query = np.array([[[1.0, 0.0]]], np.float32)
    found = attend(processor, memory, rows, query, keys, np.array([[3.0, 6.0, 9.0]], np.float32), 1.0)
    np.testing.assert_allclose(found[0, 0], [3.0, 6.0], rtol=1e-6)
