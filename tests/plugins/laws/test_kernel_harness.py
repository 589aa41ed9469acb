"""The harness itself: interpreted and compiled kernels live side by side, and its checks notice what they are for."""

import numpy as np
import pytest
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from spair.plugins.sparse_conv2d import kernel as conv
from tests.plugins.kernel_harness import (
    GUARD,
    LAYOUTS,
    MASKS,
    from_layout,
    guarded,
    interpreted,
    is_poison,
    launch,
    list_active,
    make_mask,
    make_mutant,
    poisoned,
    require_intact_guards,
    require_within,
    rounding,
    to_layout,
)


@triton.jit
def add_three(b_x):
    return tl.sum(b_x, 0) + tl.cdiv(5, 2)


@triton.jit
def use_helpers(p_x, p_out, size, BLOCK: tl.constexpr):  # noqa: N803
    o_x = tl.arange(0, BLOCK)
    b_x = tl.load(p_x + o_x, mask=o_x < size, other=0) + tl.zeros((BLOCK,), tl.float32)
    tl.store(p_out + o_x, tl.cumsum(b_x, 0) + tl.max(b_x, 0) + add_three(b_x), mask=o_x < size)


def compile_scales() -> str:
    signature = {"p_x_scale": "*fp32", "p_weight_scale": "*fp32", "p_scale": "*fp32", "outputs": "i32"}
    source = ASTSource(conv.combine_scales, {**signature, "BLOCK": "constexpr"}, {"BLOCK": 64})
    return triton.compile(source, target=GPUTarget("cuda", 87, 32)).asm["ptx"]


def combine(kernel=conv.combine_scales) -> np.ndarray:
    out = poisoned((3,), np.float32)
    scales = {"p_x_scale": np.float32([0.5]), "p_weight_scale": np.float32([1, 2, 3])}
    launch(kernel, (1,), {**scales, "p_scale": out, "outputs": 3, "BLOCK": 4})
    return out


def test_one_process_interprets_and_compiles_in_turn():
    before = compile_scales()
    assert combine().tolist() == [0.5, 1.0, 1.5]
    assert compile_scales() == before
    assert isinstance(conv.combine_scales, triton.runtime.jit.JITFunction)
    assert isinstance(tl.sum, triton.runtime.jit.JITFunction)


def test_a_kernel_is_interpreted_once():
    assert interpreted(conv.combine_scales) is interpreted(conv.combine_scales)


def test_helpers_of_a_module_and_of_triton_are_interpreted():
    out = poisoned((4,), np.float32)
    launch(use_helpers, (1,), {"p_x": np.float32([1, 2, 4, 9]), "p_out": out, "size": 3, "BLOCK": 4})
    assert out[:3].tolist() == [1 + 4 + 10, 3 + 4 + 10, 7 + 4 + 10]
    assert np.isnan(out[3])


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match=r"absent or unknown: \['BLOCK', 'block'\]"):
        launch(
            conv.combine_scales,
            (1,),
            {"p_x_scale": 0, "p_weight_scale": 0, "p_scale": 0, "outputs": 0, "block": 0},
        )


def test_a_mutant_computes_something_else(tmp_path):
    mutant = make_mutant(conv, "tl.load(p_x_scale) * b_scale", "tl.load(p_x_scale) + b_scale", tmp_path)
    assert combine(mutant.combine_scales).tolist() == [1.5, 2.5, 3.5]
    with pytest.raises(AssertionError, match="is 0 times in"):
        make_mutant(conv, "no such text", "", tmp_path)


def test_writes_beside_an_array_are_noticed():
    for dtype in (np.float32, np.float16, np.int32, np.int8):
        array = poisoned((2, 3), dtype)
        array[...] = 0
        require_intact_guards(array)
        array.base[array.size + GUARD + 5] = 0
        with pytest.raises(AssertionError, match="out of bounds"):
            require_intact_guards(array)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("channels", [1, 8, 33])
def test_layouts_follow_their_formulas(layout, channels):
    dtype = np.dtype(np.int8 if layout == LAYOUTS["chw32"] else np.float16)
    x = np.random.default_rng(0).integers(-50, 50, (2, channels, 3, 5)).astype(dtype)
    flat, pixels, pitch = to_layout(x, layout).ravel(), 15, -(-channels // 8) * 8
    for n, c, p in ((0, 0, 0), (1, channels - 1, 14), (1, channels // 2, 7)):
        at = {
            LAYOUTS["linear"]: (n * channels + c) * pixels + p,
            LAYOUTS["pixels"]: (n * pixels + p) * pitch + c,
            LAYOUTS["chw32"]: ((n * -(-channels // 32) + c // 32) * pixels + p) * 32 + c % 32,
        }[layout]
        assert flat[at] == x[n, c, p // 5, p % 5]
    if layout != LAYOUTS["chw32"]:
        values, padding = from_layout(to_layout(x, layout), layout, channels)
        assert (values == x).all()
        assert is_poison(padding).all()


@pytest.mark.parametrize("kind", MASKS)
def test_lists_hold_the_active_pixels_and_nothing_else(kind):
    mask = make_mask(kind, 2, 5, 7)
    index, count = list_active(mask, block=4)
    for image, flat in enumerate(mask.reshape(2, -1)):
        assert sorted(index[image, : count[image]]) == np.flatnonzero(flat).tolist()
        assert is_poison(index[image, count[image] :]).all()


def test_masks_are_what_they_are_called():
    counts = {kind: make_mask(kind, 2, 4, 5).sum((1, 2, 3)).tolist() for kind in MASKS}
    assert counts["none"] == [0, 0]
    assert counts["all"] == [20, 20]
    assert counts["holed"] == [19, 19]
    assert counts["one"] == [1, 1]
    assert counts["corners"] == [4, 4]
    assert counts["half"][0] == 0 < counts["half"][1] < 20
    assert all(0 < count < 20 for count in counts["random"])


@pytest.mark.parametrize("got", [1.1, np.nan, np.inf])
def test_values_beyond_their_tolerance_are_refused(got):
    expected = np.array([1.0, 2.0])
    require_within(np.float32([1.0, 2.0]), expected, np.array([0.0, 0.0]))
    with pytest.raises(AssertionError, match=r"1 of 2 values are off; the first, \(1,\)"):
        require_within(np.float32([1.0, 1 + got]), expected, np.array([1.0, 0.05]))


def test_rounding_bounds_the_error_of_a_cast_and_is_reached():
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.random.default_rng(1).integers(-8, 4, 1000)
    for dtype in (np.float16, np.float32):
        ratio = np.abs(values.astype(dtype) - values) / rounding(values, dtype)
        assert 0.7 < ratio.max() <= 1.0


def test_guarded_copies():
    assert guarded(np.arange(6).reshape(2, 3).T.astype(np.int32)).flags.c_contiguous
