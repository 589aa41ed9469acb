"""SparseConv2d in Triton's interpreter: every type, layout, kernel and kind of mask; see `sparse_conv2d_cases`."""

import dataclasses

import numpy as np
import pytest
import triton
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st

from spair.plugins.sparse_conv2d.kernel import quantize
from spair.plugins.sparse_conv2d.reference import quantize as define_quantized
from tests.plugins.kernel_harness import MASKS, guarded, launch, list_active, poisoned
from tests.plugins.sparse_conv2d.cases import (
    TYPES,
    Call,
    Case,
    check,
    combine,
    judge,
    layouts_of,
    make_call,
    pack,
    require_steps,
    run,
)

pytestmark = pytest.mark.sampled(4)


@pytest.mark.parametrize(
    ("types", "layouts"), [(types, layouts) for types in TYPES for layouts in layouts_of(types)], ids=str
)
def test_types_and_layouts(types, layouts):
    check(Case(types, layouts=layouts, residual=True))


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (1, 2), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("types", ["fp16", "int8-fp16", "quantize-fp16"])
def test_kernels_and_dilations(types, kernel, dilation):
    check(Case(types, layouts=layouts_of(types)[1], kernel=kernel, dilation=dilation, n=1))


@pytest.mark.parametrize("types", ["fp32", "fp16", "int8-fp16", "quantize-fp16"])
@pytest.mark.parametrize(("c", "d"), [(1, 1), (3, 17), (33, 3), (67, 48)])
def test_channels_need_no_multiples(types, c, d):
    check(Case(types, n=1, c=c, d=d, size=(3, 5), kernel=1, layouts=layouts_of(types)[1]))


@pytest.mark.parametrize("types", ["fp32", "fp16", "quantize-fp32", "quantize-fp16"])
@pytest.mark.parametrize("layout", [0, 1], ids=["linear", "pixels"])
@pytest.mark.parametrize(("c", "joined"), [(11, 3), (27, 3), (43, 11), (67, 3)])
def test_channels_of_two_tensors_are_read_as_one(types, layout, c, joined):
    check(Case(types, c=c, joined=joined, d=8, size=(3, 5), clean_input=True, layouts=layouts_of(types)[layout]))


@pytest.mark.parametrize("size", [(1, 1), (1, 15), (4, 4), (1, 17), (17, 1), (3, 11)], ids=str)
def test_pictures_of_one_tile_more_or_less(size):
    check(Case(size=size, mask="all", c=3, d=3, n=1))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("clean_input", [False, True])
@pytest.mark.parametrize("types", ["fp16", "quantize-fp16"])
def test_masks_of_all_kinds(types, mask, clean_input):
    check(Case(types, mask=mask, clean_input=clean_input, layouts=("pixels", "pixels"), n=2, size=(4, 4)))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("types", TYPES)
def test_the_residual_comes_after_the_activation(types, slope, residual):
    check(Case(types, slope=slope, residual=residual, size=(3, 4), kernel=1, d=35))


@pytest.mark.parametrize("programs", [1, 3, 9])
def test_any_number_of_programs_covers_all_tiles(programs):
    check(Case(mask="all", size=(7, 10), kernel=1, programs=programs))  # 5 tiles


@pytest.mark.parametrize("tile", [(16, 16, 16), (64, 64, 32), (32, 64, 64)], ids=str)
def test_tiles_of_any_size(tile):
    check(Case("fp16", tile=tile, c=35, d=67, kernel=1, layouts=("pixels", "pixels"), n=1))


def test_the_order_of_the_list_changes_nothing():
    case = Case("fp16", mask="all", n=1)
    call = make_call(case)
    index, count = list_active(call.mask)
    shuffled = guarded(np.random.default_rng(0).permuted(index, axis=1))
    assert (run(case, call) == run(case, call, p_index=shuffled, p_count=count)).all()


def test_numbers_that_fp16_cannot_sum_are_summed_in_fp32():
    case = Case("fp16", n=1, c=64, d=1, size=(1, 1), kernel=1, mask="all", slope=1.0)
    call = make_call(case)
    call.x[...], call.weight[...], call.bias[...] = 40.0, 40.0, -100.0
    call.weight[:, 1::2] = -40.0  # sums run through 1600, products of 40 beyond 65504 / 41 would overflow FP16
    call.x[:, :2] = 100.0
    judge(case, call, run(case, call))


@triton.jit
def _quantize(p_x, p_scale, p_out, BLOCK: tl.constexpr):  # noqa: N803
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + offsets, quantize(tl.load(p_x + offsets), tl.load(p_scale)))


@pytest.mark.parametrize("bits", [0x0001, 0x0003, 0x03FF, 0x0400, 0x1E3F, 0x2A00, 0x2BFF, 0x3555, 0x6000], ids=hex)
def test_every_half_becomes_the_integer_that_division_gives(bits):
    scale = np.uint16([bits]).view(np.float16).astype(np.float32)
    halves = np.arange(0x10000, dtype=np.uint32).astype(np.uint16).view(np.float16)
    out = poisoned(halves.shape, np.int8)
    launch(_quantize, (16,), {"p_x": guarded(halves), "p_scale": scale, "p_out": out, "BLOCK": 4096})
    assert (out == define_quantized(halves, float(scale[0]))).all()
    steps = np.abs(halves[:0x7C00].astype(np.float64) / float(scale[0]))
    assert (steps % 1 == 0.5).any() == (bits not in (0x0001, 0x0003, 0x03FF)), "ties, where half the scale is a half"


def test_floats_become_the_integers_that_division_gives():
    scale = np.float32([0.1])
    steps = np.random.default_rng(0).uniform(-140, 140, 4096).astype(np.float32)
    ends = np.float32([np.inf, -np.inf, 3e38, 0.0] * 1024)
    x = np.concatenate([(np.round(steps) + 0.5) * scale, steps * scale, ends])
    x = np.concatenate([x, np.nextafter(x[:4096], np.float32(np.inf))]).astype(np.float32)
    out = poisoned(x.shape, np.int8)
    launch(_quantize, (4,), {"p_x": guarded(x), "p_scale": scale, "p_out": out, "BLOCK": 4096})
    assert (out == define_quantized(x, float(scale[0]))).all()


@pytest.mark.parametrize(
    ("types", "layouts"), [(types, layouts) for types in TYPES for layouts in layouts_of(types)[:2]], ids=str
)
@pytest.mark.parametrize("residual", [False, True])
def test_an_output_is_quantized_as_a_reader_would(types, layouts, residual):
    case = Case(types, layouts=layouts, residual=residual, c=8, d=40, size=(4, 5))
    require_steps(case, make_call(case), run, "give")


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.data())
def test_cases_of_any_shape(data):
    types = data.draw(st.sampled_from(list(TYPES)))
    case = Case(
        types,
        n=data.draw(st.integers(1, 3)),
        c=data.draw(st.integers(1, 40)),
        d=data.draw(st.integers(1, 40)),
        size=(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))),
        kernel=data.draw(st.sampled_from([1, 3])),
        dilation=data.draw(st.integers(1, 3)),
        slope=data.draw(st.sampled_from([0.0, 0.25, 1.0])),
        clean_input=data.draw(st.booleans()),
        residual=data.draw(st.booleans()),
        layouts=data.draw(st.sampled_from(layouts_of(types))),
        programs=data.draw(st.integers(1, 3)),
    )
    call = make_call(dataclasses.replace(case, mask="all", clean_input=True))
    flips = data.draw(st.lists(st.booleans(), min_size=call.mask.size, max_size=call.mask.size))
    call.mask[...] = np.reshape(flips, call.mask.shape)
    judge(case, call, run(case, call))


# The helpers


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
@pytest.mark.parametrize(("d", "c", "k"), [(1, 1, 1), (16, 3, 3), (17, 11, 3), (3, 2, 5)])
def test_packed_weights_are_the_weights_and_zeros(dtype, d, c, k):
    weight = np.random.default_rng(0).integers(-99, 99, (d, c, k, k)).astype(dtype)
    packed = pack(Call(weight, weight, weight, weight, None))
    if dtype == np.int8:
        assert (packed[..., c:] == 0).all()
        packed = packed[..., :c].transpose(0, 2, 1)
    assert (packed[..., :d] == weight.reshape(d, c, k * k).transpose(2, 1, 0)).all()
    assert (packed[..., d:] == 0).all()


@pytest.mark.parametrize("outputs", [1, 15, 16, 33])
def test_scales_are_multiplied(outputs):
    scales = np.random.default_rng(0).random(outputs).astype(np.float32)
    call = Call(scales, scales, scales, scales, None, np.float32([0.3]), scales)
    assert (combine(call) == np.float32(0.3) * scales).all()


@pytest.mark.parametrize("layouts", [("linear", "linear"), ("pixels", "pixels")], ids="-".join)
@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_a_coarse_residual_is_read_at_each_pixels_own_place(dtype, layouts):
    check(Case(dtype, c=5, d=16, size=(4, 6), layouts=layouts, residual=True, coarse=True, sum_slope=0.2))
