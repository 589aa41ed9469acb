"""Clean cells give keys and values, rounded where the projection reads steps."""

import numpy as np
import pytest

from spair.runtime.cpu.program import AttendRows
from spair.runtime.cpu.statistics import MOST_KEYS, project_keys
from spair.runtime.tiling.context import Context


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
    keys, values = project_keys(step, arrays, context)
    features = context.keys.reshape(6, 16)[:, :clean]
    np.testing.assert_allclose(keys, arrays["kw"][:, :, 0, 0] @ features + arrays["kb"][:, None], rtol=1e-6)
    np.testing.assert_allclose(values.T, arrays["vw"][:, :, 0, 0] @ features + arrays["vb"][:, None], rtol=1e-6)
    assert keys.shape == (4, clean) and values.shape == (clean, 5)


def test_features_are_rounded_to_steps_where_the_projection_reads_them():
    step, arrays, context = make_case(16, key_step=0.25)
    rounded = Context({}, {}, np.rint(context.keys * 4) / np.float32(4), context.key_mask)
    found, expected = project_keys(step, arrays, context), project_keys(make_case(16)[0], arrays, rounded)
    np.testing.assert_array_equal(found[0], expected[0])
    assert not np.array_equal(found[1], expected[1])


def test_too_many_keys_are_refused():
    step, arrays, _ = make_case(16)
    side = int(MOST_KEYS**0.5) + 1
    context = Context({}, {}, np.zeros((1, 6, side, side), np.float32), np.ones((1, 1, side, side), np.float32))
    with pytest.raises(ValueError, match=f"net_r.snl has {side * side} keys, expected at most {MOST_KEYS}"):
        project_keys(step, arrays, context)
