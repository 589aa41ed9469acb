"""The counted cost of compaction is what the interpreted kernel moves, byte by byte."""

import pytest

from spair.plugins.compaction.cost import count_compaction
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
