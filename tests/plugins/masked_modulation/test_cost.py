"""The counted cost of MaskedModulation is what its interpreted kernels move, byte by byte."""

import pytest

from spair.plugins.cost import sum_launches
from spair.plugins.masked_modulation.cost import count_masked_modulation
from tests.plugins.counting import NUMBER_TYPES, counting
from tests.plugins.masked_modulation import test_kernel as modulation


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["linear", "pixels"])
def test_the_counted_cost_is_what_the_kernels_do(layout, dtype):
    case = modulation.Case(dtype, layouts=(layout, layout))
    x, mask = modulation.make_call(case)
    counted = count_masked_modulation(
        case.n, mask[0].size, case.c, kind=NUMBER_TYPES[dtype], layout=layout, block=case.tile[0]
    )
    with counting() as counter:
        affine = modulation.launch_affine(case, x, mask)
    both = sum_launches(counted[:2])
    assert (len(counter.stored), len(counter.loaded)) == (both.written, both.read)
    with counting() as counter:
        modulation.run(case, x, mask, affine)
    assert counter.launch("apply_affine") == counted[2]
