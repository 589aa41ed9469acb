"""The kernel of a layer's own sizes in Triton's interpreter: every type, window and kind of mask, and wrong kernels."""

import dataclasses
from types import ModuleType

import numpy as np
import pytest

from spair.plugins.sparse_conv2d import layer_kernel
from tests.plugins.kernel_harness import MASKS, guarded, is_poison, make_mutant
from tests.plugins.sparse_conv2d.cases import TYPES, Case, judge, layouts_of, make_call, require_steps, run, run_layer


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


JOINS = [(11, 3), (27, 3), (35, 3), (43, 11), (67, 3)]
"""Channels, and how many of them are joined to the others."""


@pytest.mark.sampled(6)
@pytest.mark.parametrize("types", ["fp32", "fp16", "quantize-fp32", "quantize-fp16"])
@pytest.mark.parametrize(("c", "joined"), JOINS)
def test_channels_of_two_tensors_are_read_as_one(types, c, joined):
    check(made(types, c=c, joined=joined, n=2, d=8, size=(3, 5), clean_input=True))


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


COARSE = made("fp16", c=16, d=24, size=(6, 10), kernel=1, n=2, residual=True, coarse=True, sum_slope=0.0)
"""A residual of half the size."""


@pytest.mark.parametrize("types", TYPES)
def test_a_coarse_residual_is_read_at_each_pixels_own_place(types):
    case = made(types, c=16, d=24, size=(6, 10), kernel=1, n=2, residual=True, coarse=True, sum_slope=0.0)
    check(case)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(o_y // 2) * (width // 2)", "(o_y // 2) * width"),
        ("+ o_x // 2", "+ o_x"),
        ("o_y % 2 * 2 + o_x % 2", "o_x % 2 * 2 + o_y % 2"),
        ("find_coarse(o_p, width, 4 * D, D)", "find_coarse(o_p, width, D, D)"),
        ("(first_pixel // 4 * ", "(first_pixel * "),
        ("b_out * sum_slope", "b_out"),
    ],
)
def test_another_place_is_noticed(old, new, tmp_path):
    require_refusal(COARSE, make_mutant(layer_kernel, old, new, tmp_path))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize(("d", "more"), [(3, {}), (19, {"residual": True}), (72, {}), (48, {"joined": 3, "c": 19})])
def test_an_output_is_quantized_as_a_reader_would(types, d, more):
    case = made(types, **{"c": 8, "size": (4, 5), "n": 2, "d": d, **more})
    if "joined" not in more or not types.startswith("int8"):
        require_steps(case, make_call(case), run_layer, "GIVE")


def test_a_sum_with_a_coarse_residual_is_quantized_as_a_reader_would():
    require_steps(COARSE, make_call(COARSE), run_layer, "GIVE")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("b_out = b_out.to(p_out.dtype.element_ty)", "b_out = b_out + 0"),
        ("(o_d // 32)", "(o_d // 16)"),
        ("m_m[:, None] & (o_d[None, :] < D)", "m_m[:, None]"),
        ("p_steps += first_pixel", "p_steps += 0 * first_pixel"),
        ("if GIVE != 1:", "if GIVE == 0:"),
        ("if GIVE != 0:", "if GIVE == 2:"),
        ("quantize(b_out, out_scale)", "quantize(b_out, out_scale * 1.01)"),
    ],
)
def test_wrong_steps_are_noticed(old, new, tmp_path):
    case = made("int8-fp16", c=8, d=72, n=2, size=(4, 5))
    with pytest.raises(AssertionError):
        require_steps(case, make_call(case), run_layer, "GIVE", module=make_mutant(layer_kernel, old, new, tmp_path))


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
    ("other=0) >> first_bit", "other=0) >> 1"),
    ("if PITCH != D:", "if False:"),
    ("if has_residual != 0:\n            b_out += tl.load", "if has_residual == 0:\n            b_out += tl.load"),
    ("p_taps += first_pixel", "p_taps += 0"),
    ("if UP else first_pixel * PITCH", "if UP else first_pixel"),
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


# Lists that no operator wrote: TensorRT times operators on inputs of its own making.

ANY = made("fp16", clean_input=True, size=(10, 11), c=8, d=8)
"""No poison in x, and more pixels than the number that poisons integers."""


def run_any(case: Case, index: int, words: int, count: int, module: ModuleType = layer_kernel) -> np.ndarray:
    """The output of a list with `count` entries, all the same."""
    lists = {"p_index": index, "p_taps": words}
    arrays = {
        name: guarded(np.full((case.n, case.size[0] * case.size[1]), number, np.int32))
        for name, number in lists.items()
    }
    return run_layer(case, make_call(case), module, **arrays, p_count=guarded(np.full(case.n, count, np.int32)))


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("pixel", [0, 10, 11, 98, 99, 109])
def test_taps_out_of_the_picture_are_not_read_whatever_the_list_says(kernel, pixel):
    out = run_any(dataclasses.replace(ANY, kernel=kernel), pixel, -1, 1)
    assert not is_poison(out.reshape(110, -1)[pixel]).any()
    assert is_poison(np.delete(out.reshape(110, -1), pixel, 0)).all()


@pytest.mark.parametrize("pixel", [-1, 110, 2**31 - 1, -(2**31)])
def test_no_pixel_outside_is_written_whatever_the_list_says(pixel):
    assert is_poison(run_any(ANY, pixel, -1, 200)).all()


def test_a_window_that_reads_clean_pixels_takes_its_bits_from_where_it_is_told():
    case = dataclasses.replace(ANY, residual=True)
    call = make_call(case)
    for bits in (0, 9):
        judge(case, call, run_layer(dataclasses.replace(case, clean_input=bits == 0), call, first_bit=bits))


@pytest.mark.parametrize(
    ("old", "new", "arguments"),
    [
        ("o_p < rows, 0b111_111_000", "o_p < rows, 0b111_111_001", (5, -1, 1)),
        ("o_p < rows + dilation, 0b111_111_110", "o_p < rows, 0b111_111_110", (11, -1, 1)),
        ("o_p < dilation, 0b111_110_000", "o_p < dilation, 0b111_111_000", (0, -1, 1)),
        ("o_p >= pixels - dilation, 0b000_011_111", "o_p >= pixels, 0b000_011_111", (109, -1, 1)),
        ("o_p >= pixels - rows - dilation", "o_p >= pixels - rows", (98, -1, 1)),
        ("o_p >= pixels - rows, 0b000_111_111", "o_p >= pixels - rows, 0b100_111_111", (104, -1, 1)),
        ("m_m = is_inside(o_p, pixels)", "m_m = o_m < count", (110, 0, 1)),
        ("tl.minimum(tl.load(p_count + i_n), pixels)", "tl.load(p_count + i_n)", (-1, -1, 200)),
    ],
)
def test_a_kernel_that_trusts_its_list_is_noticed(old, new, arguments, tmp_path):
    out = run_any(ANY, *arguments)
    with np.errstate(all="ignore"), pytest.raises(AssertionError):
        np.testing.assert_array_equal(run_any(ANY, *arguments, make_mutant(layer_kernel, old, new, tmp_path)), out)
