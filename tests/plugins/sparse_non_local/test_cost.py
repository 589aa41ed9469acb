"""The counted cost of SparseNonLocal is what its interpreted kernel moves and multiplies, one by one."""

import pytest

from spair.plugins.cost import Activity, Launch, measure_activity, sum_launches
from spair.plugins.sparse_non_local.cost import count_dense_non_local, count_sparse_non_local
from tests.plugins.counting import NUMBER_TYPES, counting, pick
from tests.plugins.sparse_non_local import test_kernel as non_local


@pytest.mark.parametrize(
    "case",
    [
        non_local.Case("float16", layouts=("pixels", "pixels"), tile=(16, 16, 32, 32)),
        non_local.Case("float32", tile=(16, 16, 32, 32), key_mask="half", mask="all"),
        non_local.Case("float32", tile=(16, 32, 32, 32), key_mask="none", mask="half", n=3),
    ],
    ids=["padding", "linear", "no key"],
)
def test_the_counted_cost_is_what_the_kernel_does(case):
    call = non_local.make_call(case)
    with counting() as counter:
        non_local.run(case, call)
    clean = [int(image.sum()) for image in call.key_mask]
    counted = count_sparse_non_local(
        measure_activity(call.mask), clean, call.key_mask[0].size, case.c, case.d,
        kind=NUMBER_TYPES[case.dtype], layout=case.layouts[0], tile=case.tile[:3],
    )  # fmt: skip
    assert counter.launch("sparse_non_local", NUMBER_TYPES[case.dtype]) == pick(counted, "sparse_non_local")


def test_dense_costs_are_those_of_the_formulas():
    assert count_dense_non_local(2, 10, 4, 3, 5, kind="fp32") == Launch(
        "dense_non_local", 2 * (10 * 3 + 4 * 9) * 4, 2 * 10 * 5 * 4, 2 * 10 * 4 * 8, "fp32", 2 * 10 * 4
    )


def test_an_output_that_nobody_reads_is_not_cleared():
    activity = Activity(64, (32,), (32,), (32,))
    cleared, left = (
        sum_launches(count_sparse_non_local(activity, [3], 4, 8, 8, clear_output=clear)) for clear in (True, False)
    )
    assert cleared.written - left.written == 64 * 8 * 2
