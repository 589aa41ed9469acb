"""The counted cost against counting: what interpreted kernels load, store and multiply, byte by byte and one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from triton.runtime.interpreter import interpreter_builder

from spair.plugins import cost
from spair.plugins.cost import Activity, Launch
from tests.plugins.compaction import test_kernel as compaction
from tests.plugins.kernel_harness import make_mask
from tests.plugins.masked_modulation import test_kernel as modulation
from tests.plugins.sparse_conv2d import cases as conv
from tests.plugins.sparse_non_local import test_kernel as non_local


class Counter:
    """What launches did, to be compared with the `Launch` of the same name."""

    def __init__(self) -> None:
        self.loaded: set[int] = set()
        self.stored: set[int] = set()
        self.products = self.exponentials = 0

    def launch(self, name: str, kind: cost.NumberType = "fp32") -> Launch:
        return Launch(name, len(self.loaded), len(self.stored), self.products, kind, self.exponentials)


@contextmanager
def counting() -> Iterator[Counter]:
    """Count in the interpreter: addresses of bytes, factors of matrix products."""
    counter = Counter()

    def addresses(pointers, mask, size: int) -> set[int]:
        at = np.unique(np.broadcast_to(pointers.data, mask.data.shape)[mask.data.astype(bool)])
        return {int(byte) for byte in (at[:, None] + np.arange(size, dtype=at.dtype)).ravel()}

    def masked_load(pointers, mask, *rest):
        counter.loaded |= addresses(pointers, mask, pointers.get_element_ty().primitive_bitwidth // 8)
        return whole["create_masked_load"](pointers, mask, *rest)

    def masked_store(pointers, value, mask, *rest):
        counter.stored |= addresses(pointers, mask, value.dtype.primitive_bitwidth // 8)
        return whole["create_masked_store"](pointers, value, mask, *rest)

    def atomic_rmw(operation, pointers, value, mask, *rest):
        counter.loaded |= addresses(pointers, mask, 4)
        counter.stored |= addresses(pointers, mask, 4)
        return whole["create_atomic_rmw"](operation, pointers, value, mask, *rest)

    def dot(a, b, *rest):
        counter.products += a.data.shape[0] * a.data.shape[1] * b.data.shape[1]
        return whole["create_dot"](a, b, *rest)

    def exp2(value):
        counter.exponentials += value.data.size
        return whole["create_exp2"](value)

    counts = {
        "create_masked_load": masked_load,
        "create_masked_store": masked_store,
        "create_atomic_rmw": atomic_rmw,
        "create_dot": dot,
        "create_exp2": exp2,
    }
    whole = {name: getattr(interpreter_builder, name) for name in counts}
    with pytest.MonkeyPatch.context() as patch:
        for name, count in counts.items():
            patch.setattr(interpreter_builder, name, count)
        yield counter


def pick(launches: tuple[Launch, ...], name: str) -> Launch:
    (launch,) = (launch for launch in launches if launch.name == name)
    return launch


# Kernels


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("kind", ["none", "all", "random"])
def test_compaction(kind, dtype):
    mask = make_mask(kind, 2, 5, 7).astype(dtype)
    with counting() as counter:
        compaction.run(mask)
    counted = pick(cost.compact(cost.measure_activity(mask), KINDS[dtype]), "compact_mask")
    assert counter.launch("compact_mask") == counted


KINDS = {"float32": "fp32", "float16": "fp16", "int8": "int8"}

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
    "no pixel": conv.Case("int8-fp16", mask="none"),
    "all pixels": conv.Case("fp16", mask="all", kernel=1, layouts=("pixels", "pixels")),
}  # fmt: skip


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_sparse_conv2d(case):
    call = conv.make_call(case)
    packed, scale = conv.pack(call), conv.combine(call)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "pack", lambda *_: packed)
        patch.setattr(conv, "combine", lambda *_: scale)
        with counting() as counter:
            conv.run(case, call)
    of_x, of_weight, of_rest = (KINDS[name] for name in conv.TYPES[case.types])
    activity = cost.measure_activity(call.mask, case.kernel, case.dilation, clean_input=case.clean_input)
    layouts = tuple("pixels" if name == "chw32" else name for name in case.layouts)
    counted = cost.sparse_conv2d(
        activity, case.c, case.d, case.kernel, kind=of_weight, x_kind=of_x, out_kind=of_rest, layouts=layouts,
        clean_input=case.clean_input, residual=case.residual, tile=case.tile,
    )  # fmt: skip
    assert counter.launch("sparse_conv2d", of_weight) == pick(counted, "sparse_conv2d")


@pytest.mark.parametrize("types", ["fp32", "fp16", "int8-fp16"])
def test_packing_and_scales(types):
    case = conv.Case(types, c=11, d=19)
    call = conv.make_call(case)
    of_x = KINDS[conv.TYPES[types][0]]
    counted = cost.sparse_conv2d(cost.measure_activity(call.mask, 3), 11, 19, 3, kind=of_x)
    with counting() as counter:
        conv.pack(call)
    assert counter.launch("pack_weight") == pick(counted, "pack_weight")
    with counting() as counter:
        conv.combine(call)
    if case.integer:
        assert counter.launch("combine_scales") == pick(counted, "combine_scales")
    else:
        assert "combine_scales" not in [launch.name for launch in counted]


@pytest.mark.parametrize(
    "case",
    [
        non_local.Case("float16", layouts=("pixels", "pixels"), tile=(16, 16, 32, 32)),
        non_local.Case("float32", tile=(16, 16, 32, 32), key_mask="half", mask="all"),
        non_local.Case("float32", tile=(16, 32, 32, 32), key_mask="none", mask="half", n=3),
    ],
    ids=["padding", "linear", "no key"],
)
def test_sparse_non_local(case):
    call = non_local.make_call(case)
    with counting() as counter:
        non_local.run(case, call)
    clean = [int(image.sum()) for image in call.key_mask]
    counted = cost.sparse_non_local(
        cost.measure_activity(call.mask), clean, call.key_mask[0].size, case.c, case.d,
        kind=KINDS[case.dtype], layout=case.layouts[0], tile=case.tile[:3],
    )  # fmt: skip
    assert counter.launch("sparse_non_local", KINDS[case.dtype]) == pick(counted, "sparse_non_local")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["linear", "pixels"])
def test_masked_modulation(layout, dtype):
    case = modulation.Case(dtype, layouts=(layout, layout))
    x, mask = modulation.make_call(case)
    counted = cost.masked_modulation(case.n, mask[0].size, case.c, kind=KINDS[dtype], layout=layout, block=case.tile[0])
    with counting() as counter:
        affine = modulation.launch_affine(case, x, mask)
    both = cost.total(counted[:2])
    assert (len(counter.stored), len(counter.loaded)) == (both.written, both.read)
    with counting() as counter:
        modulation.run(case, x, mask, affine)
    assert counter.launch("apply_affine") == counted[2]


def test_the_counter_counts():
    case = dataclasses.replace(CONVOLUTIONS["whole"], kernel=1, n=1)
    call = conv.make_call(case)
    with counting() as counter:
        pass
    conv.run(case, call)
    assert counter.launch("") == Launch("")


# Masks


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 3)])
@pytest.mark.parametrize("clean_input", [False, True])
def test_activity_is_what_loops_count(kernel, dilation, clean_input):
    mask = make_mask("random", 2, 4, 6)
    counts: list[list[int]] = []
    for image in mask[:, 0]:
        under, pairs = set(), 0
        for y, x in np.argwhere(image):
            for i in range(kernel):
                for j in range(kernel):
                    row, column = y + (i - kernel // 2) * dilation, x + (j - kernel // 2) * dilation
                    if 0 <= row < 4 and 0 <= column < 6:
                        under.add((row, column))
                        pairs += bool(clean_input or image[row, column])
        counts.append([int(image.sum()), len(under), pairs])
    expected = Activity(24, *(tuple(part) for part in zip(*counts, strict=True)))
    assert cost.measure_activity(mask, kernel, dilation, clean_input=clean_input) == expected


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
def test_the_assumed_activity_bounds_that_of_every_mask(density):
    for seed in range(5):
        flat = np.arange(35) < round(density * 35)
        mask = np.random.default_rng(seed).permuted(flat).reshape(1, 1, 5, 7)
        real = cost.measure_activity(mask, 3, clean_input=True)
        most = cost.assume_activity(1, 5, 7, density, 3)
        assert real.active == most.active
        assert real.neighbours <= most.neighbours
        assert real.pairs <= most.pairs


@pytest.mark.parametrize(("active", "neighbours"), [((3,), (2,)), ((1,), (11,)), ((1, 1), (1,))])
def test_impossible_activities_are_refused(active, neighbours):
    with pytest.raises(ValueError, match="expected"):
        Activity(10, active, neighbours, (1,))


# Sums and comparisons


def test_totals_add_up():
    launches = [Launch("a", 1, 2), Launch("b", 3, 4, 5, "fp16", 6)]
    assert cost.total(launches) == Launch("total", 4, 6, 5, "fp16", 6)
    assert cost.total(launches).bytes == 10
    with pytest.raises(ValueError, match="products of fp16 and int8 cannot be added up"):
        cost.total([*launches, Launch("c", products=1, kind="int8")])


def test_a_full_mask_costs_no_less_than_the_dense_convolution():
    activity = cost.measure_activity(np.ones((2, 1, 8, 8)), 3)
    dense = cost.dense_conv2d(2, (64, 64), 48, 48, 3)
    sparse = cost.total(cost.sparse_conv2d(activity, 48, 48, 3))
    assert sparse.products >= dense.products
    assert sparse.bytes >= dense.bytes
    assert dense.products >= cost.needed_products(activity, 48, 48)


def test_dense_costs_are_those_of_the_formulas():
    assert cost.dense_conv2d(1, (64, 16), 3, 5, 3, residual=True) == Launch(
        "dense_conv2d", (64 * 3 + 9 * 15) * 2 + 5 * 2 + 16 * 5 * 2, 16 * 5 * 2, 16 * 9 * 15, "fp16"
    )
    assert cost.dense_non_local(2, 10, 4, 3, 5, kind="fp32") == Launch(
        "dense_non_local", 2 * (10 * 3 + 4 * 9) * 4, 2 * 10 * 5 * 4, 2 * 10 * 4 * 8, "fp32", 2 * 10 * 4
    )
    int8 = cost.dense_conv2d(1, (4, 4), 8, 8, 1, kind="int8")
    assert int8.written == 4 * 8 * 2
    assert int8.kind == "int8"


def test_an_output_that_nobody_reads_is_not_cleared():
    activity = cost.assume_activity(1, 8, 8, 0.5)
    for call in (
        lambda clear: cost.sparse_conv2d(activity, 8, 8, 1, clear_output=clear),
        lambda clear: cost.sparse_non_local(activity, [3], 4, 8, 8, clear_output=clear),
    ):
        spared = cost.total(call(True)).written - cost.total(call(False)).written
        assert spared == 64 * 8 * 2
