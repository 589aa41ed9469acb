"""The kernel of a layer's own sizes in Triton's interpreter: every type, window and kind of mask, and wrong kernels."""

import dataclasses
from types import ModuleType

import numpy as np
import pytest

from spair.plugins.sparse_conv2d import layer_kernel
from tests.plugins.kernel_harness import MASKS, make_mutant
from tests.plugins.sparse_conv2d.cases import TYPES, Case, judge, layouts_of, make_call, run, run_layer


def made(types: str, **changes) -> Case:
    """A case with the layouts of pixels."""
    return Case(types, layouts=layouts_of(types)[1], **{"n": 1, **changes})


def check(case: Case) -> None:
    call = make_call(case)
    judge(case, call, run_layer(case, call))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("types", TYPES)
def test_all_types(types, residual):
    check(made(types, n=2, residual=residual))


@pytest.mark.sampled(9)
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (1, 2), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("clean_input", [False, True])
@pytest.mark.parametrize("types", TYPES)
def test_all_windows(types, clean_input, kernel, dilation):
    check(made(types, kernel=kernel, dilation=dilation, clean_input=clean_input, size=(6, 5)))


@pytest.mark.sampled(9)
@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize(("c", "d"), [(1, 1), (8, 16), (27, 3), (35, 17), (48, 48), (64, 35), (100, 3), (192, 8)])
def test_channels_need_no_multiples(types, c, d):
    check(made(types, c=c, d=d, size=(3, 4), residual=True))


@pytest.mark.sampled(6)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("types", ["fp16", "int8-fp16", "quantize-fp16"])
def test_masks_of_all_kinds(types, mask):
    check(made(types, mask=mask, n=2, size=(4, 9)))


@pytest.mark.parametrize("size", [(1, 1), (1, 15), (4, 4), (1, 17), (17, 1)], ids=str)
def test_pictures_of_one_tile_more_or_less(size):
    check(made("fp16", size=size, mask="all", c=3, d=3))


@pytest.mark.parametrize("programs", [1, 3, 9])
def test_any_number_of_programs_covers_all_tiles(programs):
    check(made("fp16", mask="all", size=(7, 10), kernel=1, programs=programs))  # 5 tiles


def test_the_general_kernel_gives_the_same_integers():
    case = made("int8-fp32", c=40, d=20, n=2)
    call = make_call(case)
    np.testing.assert_array_equal(run_layer(case, call), run(case, call))


STRICT = made("fp16", c=36, d=20, size=(5, 6), residual=True, n=2, dilation=2)
"""One whole block of channels and a rest that ends before its block does; padding on both sides."""
BLOCKS = dataclasses.replace(STRICT, c=136, dilation=1, residual=False)
"""Two whole blocks and a rest, which has a loop of its own."""
MUTANTS = [
    ("offsets = o_c + shift", "offsets = o_c - shift"),
    ("if REST > 0 and WHOLE == 1:", "if False:"),
    ("mask=m_x, other=0", "mask=m_x, other=1"),
    ("b_x = tl.where(o_c[None, :] < C, b_x, 0)", "b_x = b_x"),
    ("m_x = m_q[:, None]", "m_x = m_q[:, None] | True"),
    ("if PITCH != D:", "if False:"),
    ("if has_residual != 0:\n            b_out += tl.load", "if has_residual == 0:\n            b_out += tl.load"),
    ("p_taps += first_pixel", "p_taps += 0"),
    ("p_residual += first_pixel * PITCH", "p_residual += first_pixel"),
]
"""Replacements in the kernel that the strict case must notice."""


@pytest.mark.parametrize("case", [STRICT, BLOCKS], ids=["strict", "blocks"])
def test_the_right_kernel_passes(case):
    check(case)


def require_refusal(case: Case, mutant: ModuleType) -> None:
    call = make_call(case)
    with pytest.raises(AssertionError):
        judge(case, call, run_layer(case, call, mutant))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("old", "new"), MUTANTS, ids=lambda text: text[:40])
def test_a_wrong_kernel_is_noticed(old, new, tmp_path):
    require_refusal(STRICT, make_mutant(layer_kernel, old, new, tmp_path))


@pytest.mark.parametrize(
    ("old", "new"), [("if REST > 0 and WHOLE > 1:", "if False:"), ("step % WHOLE * BK", "0 * step")]
)
def test_lost_blocks_are_noticed(old, new, tmp_path):
    require_refusal(BLOCKS, make_mutant(layer_kernel, old, new, tmp_path))


def test_shifted_words_of_taps_are_noticed():
    call = make_call(STRICT)
    _, _, height, width = call.mask.shape
    wrong = np.full((2, height * width), 0b000_010_000, np.int32)  # the pixel itself only
    with pytest.raises(AssertionError, match="values are off"):
        judge(STRICT, call, run_layer(STRICT, call, p_taps=wrong))
