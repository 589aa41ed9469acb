"""The counted cost of compaction is what the interpreted kernel moves, byte by byte."""

import pytest

from spair.plugins.compaction.cost import count_compaction, count_index
from spair.plugins.cost import measure_activity
from tests.plugins.compaction import test_kernel as compaction
from tests.plugins.counting import NUMBER_TYPES, counting, pick
from tests.plugins.kernel_harness import make_mask


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("kind", ["none", "all", "random"])
def test_the_counted_cost_is_what_the_kernel_does(kind, dtype):
    mask = make_mask(kind, 2, 5, 7).astype(dtype)
    with counting() as counter:
        compaction.run(mask)
    counted = pick(count_compaction(measure_activity(mask), NUMBER_TYPES[dtype]), "compact_mask")
    assert counter.launch("compact_mask") == counted


@pytest.mark.parametrize("kind", ["all", "random"])
def test_the_counted_cost_of_an_index_is_what_its_kernel_does(kind):
    mask = make_mask(kind, 2, 5, 7)
    with counting() as counter:
        compaction.run_windows(mask, (3, 1, False))
    launches = count_index(measure_activity(mask), "fp32")
    assert [launch.name for launch in launches] == ["clear", "compact_neighbours"]
    assert counter.launch("compact_neighbours") == launches[1]
