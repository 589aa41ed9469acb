"""The counted cost of SparseCompose is what its interpreted kernel moves, byte by byte."""

import numpy as np
import pytest

from spair.plugins.cost import measure_activity
from spair.plugins.sparse_compose.cost import count_sparse_compose
from tests.plugins.counting import NUMBER_TYPES, counting
from tests.plugins.sparse_compose import test_kernel as compose


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["linear", "pixels"])
def test_the_counted_cost_is_what_the_kernel_does(layout, dtype):
    case = compose.Case(dtype, layout=layout, tile=(16, 8))
    arrays = compose.make_call(case)
    (counted,) = count_sparse_compose(
        measure_activity(np.asarray(arrays[2])), case.c, kind=NUMBER_TYPES[dtype], layout=layout
    )
    with counting() as counter:
        compose.run(case, *arrays)
    assert counter.launch("compose_pixels") == counted
