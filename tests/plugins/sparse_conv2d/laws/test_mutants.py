"""What `sparse_conv2d_cases` must refuse: wrong inputs, wrong launches, wrong kernels."""

import dataclasses
from types import ModuleType

import numpy as np
import pytest

from spair.plugins.sparse_conv2d import kernel as conv
from tests.plugins.kernel_harness import (
    LAYOUTS,
    LISTED,
    OUTSIDE,
    TRUSTING,
    fill_list,
    is_poison,
    list_active,
    make_mutant,
)
from tests.plugins.sparse_conv2d.cases import Case, judge, layouts_of, make_call, run

# What the tolerance must refuse

STRICT = Case(
    "fp16", c=52, d=20, size=(5, 6), layouts=("pixels", "pixels"), residual=True, n=2, dilation=2, sum_slope=0.3
)
"""Channels: one whole block, one of the rest, and a part of one; padding on both sides."""


@pytest.mark.sampled(2)
@pytest.mark.parametrize("tap", [0, 4, 5])
@pytest.mark.parametrize("types", ["fp16", "int8-fp32"])
def test_a_dropped_tap_is_noticed(tap, types):
    case = dataclasses.replace(STRICT, types=types, layouts=layouts_of(types)[1])
    call = make_call(case)
    without = dataclasses.replace(call, weight=call.weight.copy())
    without.weight[:, :, tap // 3, tap % 3] = 0
    with pytest.raises(AssertionError, match="values are off"):
        judge(case, call, run(case, without))


def test_a_shifted_mask_is_noticed():
    case = dataclasses.replace(STRICT, clean_input=True, residual=False)
    call = make_call(case)
    shifted = dataclasses.replace(call, mask=np.roll(call.mask, 1, axis=3))
    with pytest.raises(AssertionError, match="a clean pixel was written"):
        judge(case, call, run(case, shifted))
    # The right pixels, but the mask of the neighbours shifted.
    index, count = list_active(call.mask)
    case = dataclasses.replace(case, clean_input=False)
    with pytest.raises(AssertionError, match="values are off"):
        judge(case, call, run(case, shifted, p_index=index, p_count=count))


def test_a_dropped_tile_is_noticed():
    call = make_call(STRICT)
    _, count = list_active(call.mask)
    with pytest.raises(AssertionError, match="padding is not zero"):
        judge(STRICT, call, run(STRICT, call, p_count=np.maximum(count - 16, 0)))


@pytest.mark.parametrize("swapped", ["IN", "OUT"])
def test_swapped_layouts_are_noticed(swapped):
    case = dataclasses.replace(STRICT, c=40, d=40, kernel=1)
    call = make_call(dataclasses.replace(case, clean_input=True, mask="all"))
    with pytest.raises(AssertionError, match="values are off"):
        judge(case, call, run(case, call, **{swapped: LAYOUTS["linear"]}))


TILES = Case(
    mask="random", c=3, d=35, size=(10, 11), n=2, kernel=1, tile=(16, 16, 16), programs=2, layouts=("pixels", "pixels")
)
"""Three tiles of pixels and three of channels."""

MUTANTS = [
    ("tap // kernel - kernel // 2", "tap % kernel - kernel // 2"),
    ("(tap % kernel - kernel // 2) * dilation", "(tap % kernel - kernel // 2)"),
    ("& (o_qx >= 0)", ""),
    ("& (o_qx < width)", ""),
    ("& (o_qy >= 0)", ""),
    ("& (o_qy < height)", ""),
    ("b_mask + clean_input != 0", "b_mask + clean_input >= 0"),
    ("m_w = m_w & (o_c[:, None] < channels)", "m_w = m_w"),
    ("tl.where(o_c[None, :] < channels, b_x, 0)", "b_x + 0"),
    ("o_c = first + step", "o_c = step"),
    ("step % turns * BK", "0 * step"),
    ("tl.cdiv(channels - whole * BK, REST)", "(channels - whole * BK) // REST"),
    ("0, whole, IN", "0, 0, IN"),
    ("b_out * slope", "b_out * slope * 1.02"),
    ("b_out * sum_slope", "b_out"),
    ("p_mask += i_n", "p_mask += 0 * i_n"),
    ("p_index += i_n", "p_index += 0 * i_n"),
]  # fmt: skip
OF_TILES = [
    ("p_count + i_n", "p_count + 2"),
    ("tl.num_programs(0)", "3"),
    ("range(tl.program_id(0), ", "range(0 * tl.program_id(0) + 1, "),
    ("o_d = i_d * BN", "o_d = 0 * BN"),
    ("m_m = o_m < count", "m_m = o_m < count - 1"),
    ("m_m = o_m < count", "m_m = o_m < BM * tl.cdiv(count, BM)"),
]

JOINED = Case("fp16", c=27, d=20, size=(5, 6), layouts=("pixels", "pixels"), n=2, joined=3)
"""The last channels are of another tensor, behind a part of a block."""
OF_JOINS = [
    ("o_c[None, :] - own", "o_c[None, :]"),
    ("tl.where(is_own, p_x + offsets, p_joined + others)", "p_x + offsets"),
    ("tl.where(is_own, p_x + offsets, p_joined + others)", "tl.where(is_own, p_joined + others, p_x + offsets)"),
    ("tl.where(o_c < own, x_pitch, own + joined_pitch)", "o_c * 0 + own"),
    ("(channels - joined) // BK", "channels // BK * 0 + 2"),
]


def name_mutant(text: str) -> str:
    return text[:40]


OF_QUANTIZERS = [
    ("+ 768.0 + (", "+ 12582912.0 + ("),
    ("(1.0, scale) + 768.0", "(1.0, scale) + 768.0001"),
    ("-128.0 * scale", "-127.0 * scale"),
    ("tl.minimum(127.0 * scale", "tl.minimum(128.0 * scale"),
    ("tl.div_rn(1.0, scale)", "1.01 * tl.div_rn(1.0, scale)"),
    ("tl.trans(tl.load(p_packed + o_w", "tl.trans(tl.load(p_packed + o_w + 1"),
    ("b_out *= tl.load(p_scale + o_d", "b_out *= tl.load(p_scale + 0 * o_d"),
]


@pytest.mark.parametrize("case", [STRICT, TILES, JOINED], ids=["strict", "tiles", "joined"])
def test_the_right_kernel_passes(case):
    call = make_call(case)
    judge(case, call, run(case, call))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("old", "new"), MUTANTS, ids=name_mutant)
def test_a_wrong_kernel_is_noticed(old, new, tmp_path):
    require_refusal(STRICT, make_mutant(conv, old, new, tmp_path))


@pytest.mark.parametrize(("old", "new"), OF_TILES, ids=name_mutant)
def test_wrong_tiles_are_noticed(old, new, tmp_path):
    require_refusal(TILES, make_mutant(conv, old, new, tmp_path))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("old", "new"), OF_QUANTIZERS, ids=name_mutant)
def test_wrong_quantizers_are_noticed(old, new, tmp_path):
    require_refusal(dataclasses.replace(STRICT, types="quantize-fp16"), make_mutant(conv, old, new, tmp_path))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("old", "new"), OF_JOINS, ids=name_mutant)
def test_wrong_joins_are_noticed(old, new, tmp_path):
    require_refusal(JOINED, make_mutant(conv, old, new, tmp_path))


def require_refusal(case: Case, mutant: ModuleType) -> None:
    call = make_call(case)
    with pytest.raises(AssertionError):
        judge(case, call, run(case, call, mutant))


def run_listed(entry: int, count: int, module: ModuleType = conv) -> np.ndarray:
    """Run a kernel on the list of `fill_list`."""
    case = Case("fp16", n=1, c=8, d=8, size=LISTED, clean_input=True, layouts=("pixels", "pixels"))
    return run(case, make_call(case), module, **fill_list(entry, count))


@pytest.mark.parametrize("entry", OUTSIDE)
def test_no_pixel_outside_is_written_whatever_the_list_says(entry):
    assert is_poison(run_listed(entry, 200)).all()


@pytest.mark.parametrize(("old", "new", "given"), TRUSTING)
def test_a_kernel_that_trusts_its_list_is_noticed(old, new, given, tmp_path):
    expected, mutant = run_listed(*given), make_mutant(conv, old, new, tmp_path)
    with np.errstate(all="ignore"), pytest.raises(AssertionError):
        np.testing.assert_array_equal(run_listed(*given, mutant), expected)
