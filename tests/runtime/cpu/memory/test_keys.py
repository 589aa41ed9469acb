"""Keys and values of attention stand where the kernels read them."""

import numpy as np
import pytest

from spair.runtime.cpu.memory.keys import MOST_KEYS, pack_keys
from spair.runtime.cpu.program import AttendRows
from spair.runtime.tiling.context import Context


class Plain:
    """Library whose order is none, with vectors of 8."""

    lanes = 8

    def pack(self, weight):
        return weight


def make_case(clean, **steps):
    """An attention to a grid of which the first cells are clean."""
    random = np.random.default_rng(0)
    arrays = {"kw": random.random((4, 6, 1, 1)), "vw": random.random((5, 6, 1, 1))}
    arrays |= {"kb": random.random(4), "vb": random.random(5)}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    step = AttendRows("net_r.snl", "q", "out", 0, 0.5, "kw", "kb", "vw", "vb", **steps)
    mask = (np.arange(16) < clean).astype(np.float32).reshape(1, 1, 4, 4)
    return step, arrays, Context({}, {}, random.random((1, 6, 4, 4)).astype(np.float32), mask)


@pytest.mark.parametrize("clean", [0, 1, 11, 16])
def test_clean_cells_give_keys_and_values(clean):
    step, arrays, context = make_case(clean)
    packed = pack_keys(Plain(), step, arrays, context)
    features = context.keys.reshape(6, 16)[:, :clean]
    assert (packed.depth, packed.count, packed.width) == (4, clean, 8)
    keys = arrays["kw"][:, :, 0, 0] @ features + arrays["kb"][:, None]
    np.testing.assert_allclose(packed.keys[:, :clean], keys, rtol=1e-6)
    values = arrays["vw"][:, :, 0, 0] @ features + arrays["vb"][:, None]
    np.testing.assert_allclose(packed.values[:, :5], values.T, rtol=1e-6)
    assert packed.keys.shape[1] == -(-clean // 8) * 8 and (packed.keys[:, clean:] == 0).all()
    assert (packed.values[:, 5:] == 0).all()
    assert (packed.barred[:clean] == 0).all() and (packed.barred[clean:] < -1e29).all() and not packed.zeros.any()


def test_features_are_rounded_to_steps_where_the_projection_reads_them():
    step, arrays, context = make_case(16, key_step=0.25)
    rounded = Context({}, {}, np.rint(context.keys * 4) / np.float32(4), context.key_mask)
    found, expected = pack_keys(Plain(), step, arrays, context), pack_keys(Plain(), make_case(16)[0], arrays, rounded)
    np.testing.assert_array_equal(found.keys, expected.keys)
    assert not np.array_equal(found.values, expected.values)


def test_too_many_keys_are_refused():
    step, arrays, _ = make_case(16)
    side = int(MOST_KEYS**0.5) + 1
    context = Context({}, {}, np.zeros((1, 6, side, side), np.float32), np.ones((1, 1, side, side), np.float32))
    with pytest.raises(ValueError, match=f"net_r.snl has {side * side} keys, expected at most {MOST_KEYS}"):
        pack_keys(Plain(), step, arrays, context)
