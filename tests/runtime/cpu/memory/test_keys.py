"""Keys and values of attention stand where the kernels read them."""

import numpy as np
import pytest

from spair.runtime.cpu.memory.keys import pack_keys


class Plain:
    """Library whose order is none, with vectors of 8."""

    lanes = 8

    def pack(self, weight):
        return weight


@pytest.mark.parametrize("count", [0, 1, 11, 16])
def test_keys_fill_whole_vectors_and_values_whole_steps(count):
    random = np.random.default_rng(0)
    keys, values = random.random((4, count), np.float32), random.random((count, 5), np.float32)
    packed = pack_keys(Plain(), keys, values)
    assert (packed.depth, packed.count, packed.width) == (4, count, 8)
    np.testing.assert_array_equal(packed.keys[:, :count], keys)
    np.testing.assert_array_equal(packed.values[:, :5], values)
    assert packed.keys.shape[1] == -(-count // 8) * 8 and (packed.keys[:, count:] == 0).all()
    assert (packed.values[:, 5:] == 0).all()
    assert (packed.barred[:count] == 0).all() and (packed.barred[count:] < -1e29).all() and not packed.zeros.any()
