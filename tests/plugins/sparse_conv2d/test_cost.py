"""The counted cost of SparseConv2d is what its interpreted kernels move and multiply, one by one."""

import dataclasses

import numpy as np
import pytest

from spair.plugins.cost import Activity, Launch, measure_activity, sum_launches
from spair.plugins.sparse_conv2d.cost import count_dense_conv2d, count_sparse_conv2d
from tests.plugins.counting import NUMBER_TYPES, counting, pick
from tests.plugins.kernel_harness import LAYOUTS, poisoned, shape_of
from tests.plugins.sparse_conv2d import cases as conv

CONVOLUTIONS = {
    "padding": conv.Case("fp16", c=11, d=19, layouts=("pixels", "pixels"), residual=True),
    "rest": conv.Case("fp16", c=52, d=16, kernel=1, layouts=("pixels", "pixels")),
    "whole": conv.Case("fp16", c=32, d=16, layouts=("pixels", "pixels")),
    "linear": conv.Case("fp16", c=35, d=19, kernel=1, n=3, mask="half"),
    "clean input": conv.Case("fp32", c=3, d=3, clean_input=True, dilation=2, layouts=("pixels", "linear")),
    "five by five": conv.Case("fp32", c=3, d=3, kernel=5, n=1),
    "int8": conv.Case("int8-fp16", c=11, d=19, layouts=("chw32", "pixels")),
    "int8 to fp32": conv.Case("int8-fp32", c=35, d=19, kernel=1, layouts=("linear", "linear")),
    "quantize": conv.Case("quantize-fp16", c=52, d=19, kernel=1, layouts=("pixels", "pixels"), residual=True),
    "quantize linear": conv.Case("quantize-fp32", c=11, d=3, kernel=1, n=1, clean_input=True),
    "joined": conv.Case("fp16", c=27, d=19, joined=3, clean_input=True, layouts=("pixels", "pixels")),
    "joined linear": conv.Case("quantize-fp32", c=11, d=3, joined=3, kernel=1, n=1),
    "no pixel": conv.Case("int8-fp16", mask="none"),
    "all pixels": conv.Case("fp16", mask="all", kernel=1, layouts=("pixels", "pixels")),
}  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_the_counted_cost_is_what_the_kernel_does(case):
    call = conv.make_call(case)
    packed, scale = conv.pack(call), conv.combine(call)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "pack", lambda *_: packed)
        patch.setattr(conv, "combine", lambda *_: scale)
        with counting() as counter:
            conv.run(case, call)
    of_x, of_weight, of_rest = (NUMBER_TYPES[name] for name in conv.TYPES[case.types])
    activity = measure_activity(call.mask, case.kernel, case.dilation, clean_input=case.clean_input)
    layouts = tuple("pixels" if name == "chw32" else name for name in case.layouts)
    counted = count_sparse_conv2d(
        activity, case.c, case.d, case.kernel, kind=of_weight, x_kind=of_x, out_kind=of_rest, layouts=layouts,
        clean_input=case.clean_input, joined=case.joined, residual=case.residual, tile=case.tile,
    )  # fmt: skip
    assert counter.launch("sparse_conv2d", of_weight) == pick(counted, "sparse_conv2d")


@pytest.mark.parametrize("gives", ["int8", "both"])
@pytest.mark.parametrize("name", ["linear", "int8", "quantize"])
def test_the_counted_cost_of_bytes_is_what_the_kernel_writes(name, gives):
    case = CONVOLUTIONS[name]
    call = conv.make_call(case)
    packed, scale = conv.pack(call), conv.combine(call)
    steps = LAYOUTS["linear" if case.layouts[1] == "linear" else "chw32"]
    place = poisoned(shape_of((case.n, case.d, *case.size), steps, np.int8), np.int8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "pack", lambda *_: packed)
        patch.setattr(conv, "combine", lambda *_: scale)
        with counting() as counter:
            conv.run(case, call, p_steps=place, give={"int8": 1, "both": 2}[gives], out_scale=conv.OUT_SCALE)
    of_x, of_weight, of_rest = (NUMBER_TYPES[kind] for kind in conv.TYPES[case.types])
    layouts = tuple("pixels" if layout == "chw32" else layout for layout in case.layouts)
    counted = count_sparse_conv2d(
        measure_activity(call.mask, case.kernel), case.c, case.d, case.kernel, kind=of_weight, x_kind=of_x,
        out_kind=of_rest, gives=gives, layouts=layouts, residual=case.residual, tile=case.tile,
    )  # fmt: skip
    assert counter.launch("sparse_conv2d", of_weight) == pick(counted, "sparse_conv2d")


def test_every_output_is_cleared():
    activity = Activity(100, (10,), (10,), (10,))
    options = {"kind": "int8", "out_kind": "fp16", "listed": True}
    cleared = {
        gives: [launch.written for launch in count_sparse_conv2d(activity, 64, 20, 3, gives=gives, **options)][:-1]
        for gives in ("float", "int8", "both")
    }
    assert cleared == {"float": [100 * 24 * 2], "int8": [100 * 32], "both": [100 * 24 * 2, 100 * 32]}


@pytest.mark.parametrize("types", ["fp32", "fp16", "int8-fp16"])
def test_the_counted_cost_of_packing_and_scales_is_what_their_kernels_do(types):
    case = conv.Case(types, c=11, d=19)
    call = conv.make_call(case)
    of_x = NUMBER_TYPES[conv.TYPES[types][0]]
    counted = count_sparse_conv2d(measure_activity(call.mask, 3), 11, 19, 3, kind=of_x)
    with counting() as counter:
        conv.pack(call)
    assert counter.launch("pack_weight") == pick(counted, "pack_weight")
    with counting() as counter:
        conv.combine(call)
    if case.integer:
        assert counter.launch("combine_scales") == pick(counted, "combine_scales")
    else:
        assert "combine_scales" not in [launch.name for launch in counted]


def test_the_counter_counts():
    case = dataclasses.replace(CONVOLUTIONS["whole"], kernel=1, n=1)
    call = conv.make_call(case)
    with counting() as counter:
        pass
    conv.run(case, call)
    assert counter.launch("") == Launch("")


def test_a_full_mask_costs_no_less_than_the_dense_convolution():
    activity = measure_activity(np.ones((2, 1, 8, 8)), 3)
    dense = count_dense_conv2d(2, (64, 64), 48, 48, 3)
    sparse = sum_launches(count_sparse_conv2d(activity, 48, 48, 3))
    assert sparse.products >= dense.products
    assert sparse.bytes >= dense.bytes
    assert dense.products >= sum(activity.pairs) * 48 * 48  # the pairs that the definition multiplies


def test_dense_costs_are_those_of_the_formulas():
    assert count_dense_conv2d(1, (64, 16), 3, 5, 3, residual=True) == Launch(
        "dense_conv2d", (64 * 3 + 9 * 15) * 2 + 5 * 2 + 16 * 5 * 2, 16 * 5 * 2, 16 * 9 * 15, "fp16"
    )
    int8 = count_dense_conv2d(1, (4, 4), 8, 8, 1, kind="int8")
    assert int8.written == 4 * 8 * 2
    assert int8.kind == "int8"


def test_an_output_that_nobody_reads_is_not_cleared():
    activity = Activity(64, (32,), (32,), (32,))
    cleared, left = (
        sum_launches(count_sparse_conv2d(activity, 8, 8, 1, clear_output=clear)) for clear in (True, False)
    )
    assert cleared.written - left.written == 64 * 8 * 2


@pytest.mark.parametrize("kind", ["fp16", "int8"])
def test_with_a_list_nothing_but_the_convolution_is_left(kind):
    activity = Activity(64, (32,), (32,), (32,))
    plain, listed = (
        count_sparse_conv2d(activity, 8, 8, 3, kind=kind, clear_output=False, listed=on) for on in (False, True)
    )
    assert listed == plain[-1:] and listed[0].name == "sparse_conv2d"
