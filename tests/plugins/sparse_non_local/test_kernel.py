"""SparseNonLocal in Triton's interpreter against its definition: types, layouts, masks of queries and of keys.

What must not be read is NaN: clean queries, masked keys and their values, padding channels, what surrounds each array.
What must not be written is checked to be poison still.

Tolerance, for each value: a score, a sum of C products, is off by at most e = (C + 3) units of rounding u = 2^-24 of
scale * sum |q| |k|, and by 2 u of itself on its way through exp2; so are the scores of the denominator. A weight is
thus off by a factor 1 +- (2 e + r), r = J u for the sums over J keys. In FP16 a weight, as a part of the largest, is
rounded before it is multiplied: by 2^-11 of itself, or 2^-25. The factor applies to sum_j weight_j |value_j|. The last
step is one rounding to the output's type.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spair.plugins.sparse_non_local import kernel as non_local
from spair.plugins.sparse_non_local.reference import sparse_non_local
from tests.plugins.kernel_harness import (
    LAYOUTS,
    LISTED,
    MASKS,
    OUTSIDE,
    TRUSTING,
    fill_list,
    from_layout,
    guarded,
    is_poison,
    launch,
    list_active,
    make_mask,
    make_mutant,
    poisoned,
    require_intact_guards,
    require_within,
    rounding,
    shape_of,
    to_layout,
)

UNIT = 2.0**-24


@dataclass(frozen=True)
class Case:
    """One call of the operator, and how it is launched."""

    dtype: str = "float32"
    n: int = 2
    c: int = 11
    d: int = 19
    size: tuple[int, int] = (4, 5)
    keys: tuple[int, int] = (3, 7)
    mask: str = "random"
    key_mask: str = "random"
    scale: float = 0.3
    layouts: tuple[str, str] = ("linear", "linear")
    tile: tuple[int, int, int, int] = (16, 16, 16, 32)
    programs: int = 2
    spread: float = 1.0


@dataclass
class Call:
    """Made-up inputs of a case."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    mask: np.ndarray
    key_mask: np.ndarray


def make_call(case: Case) -> Call:
    rng = np.random.default_rng(1)
    mask = make_mask(case.mask, case.n, *case.size)
    key_mask = make_mask(case.key_mask, case.n, *case.keys, seed=5)
    query = rng.normal(size=(case.n, case.c, *case.size)) * case.spread
    key = rng.normal(size=(case.n, case.c, *case.keys))
    value = rng.normal(size=(case.n, case.d, *case.keys))
    for tensor, of in ((query, mask), (key, key_mask), (value, key_mask)):
        tensor[np.broadcast_to(of == 0, tensor.shape)] = np.nan
    return Call(*(part.astype(case.dtype) for part in (query, key, value, mask, key_mask)))


def define(case: Case, call: Call) -> tuple[np.ndarray, np.ndarray]:
    """What the operator's definition gives, and the tolerance for it; both [N,D,H,W]."""
    parts = [part.astype(np.float32) for part in (call.query, call.key, call.value, call.mask, call.key_mask)]
    expected = sparse_non_local(*parts, scale=case.scale)
    query, key, value, mask, key_mask = parts
    weighed = sparse_non_local(query, key, np.abs(value), mask, key_mask, scale=case.scale)
    size = np.einsum("nchw,nckl->nhwkl", np.nan_to_num(np.abs(query)), np.nan_to_num(np.abs(key))).max((3, 4))
    relative = 2 * (case.c + 5) * UNIT * case.scale * size + (key[0, 0].size + 8) * UNIT
    tolerance = relative[:, None] * weighed + rounding(expected, case.dtype)
    if case.dtype == "float16":
        tolerance += 2.0**-11 * weighed + 2.0**-25 * np.nansum(np.abs(value), (2, 3))[:, :, None, None]
    return expected, tolerance


def run(case: Case, call: Call, module: ModuleType = non_local, **changed: Any) -> np.ndarray:
    """Launch as a plugin does; the output in memory, poison where the kernel wrote nothing. `changed`: arguments."""
    from_, to = (LAYOUTS[name] for name in case.layouts)
    index, count = list_active(call.mask)
    out = poisoned(shape_of((case.n, case.d, *case.size), to, call.query.dtype), call.query.dtype)
    query = to_layout(call.query, from_)
    bm, bj, bc, bd = case.tile
    arguments = {
        "p_query": query, "p_key": guarded(call.key), "p_value": guarded(call.value), "p_index": index,
        "p_count": count, "p_key_mask": guarded(call.key_mask), "p_out": out, "pixels": call.mask[0].size,
        "keys": call.key_mask[0].size, "channels": case.c, "outputs": case.d, "query_pitch": query.shape[-1],
        "out_pitch": out.shape[-1], "scale": case.scale, "IN": from_, "OUT": to, "BM": bm, "BJ": bj, "BC": bc, "BD": bd,
    }  # fmt: skip
    launch(module.sparse_non_local, (case.programs, 1, case.n), {**arguments, **changed})
    require_intact_guards(out)
    return out


def judge(case: Case, call: Call, out: np.ndarray) -> None:
    """AssertionError unless active pixels are right, their padding zero, and clean pixels untouched."""
    values, padding = from_layout(out, LAYOUTS[case.layouts[1]], case.d)
    clean = call.mask == 0
    assert is_poison(values[np.broadcast_to(clean, values.shape)]).all(), "a clean pixel was written"
    assert (padding[np.broadcast_to(~clean, padding.shape)] == 0).all(), "padding is not zero"
    assert is_poison(padding[np.broadcast_to(clean, padding.shape)]).all(), "padding of a clean pixel was written"
    expected, tolerance = define(case, call)
    active = np.broadcast_to(~clean, values.shape)
    require_within(values[active], expected[active].astype(np.float64), tolerance[active])


def check(case: Case) -> None:
    call = make_call(case)
    judge(case, call, run(case, call))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "layouts", [("linear", "linear"), ("pixels", "pixels"), ("pixels", "linear"), ("linear", "pixels")], ids="-".join
)
def test_types_and_layouts(dtype, layouts):
    check(Case(dtype, layouts=layouts))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_queries_of_all_kinds_of_masks(dtype, mask):
    check(Case(dtype, mask=mask, layouts=("pixels", "pixels")))


@pytest.mark.parametrize("key_mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_keys_of_all_kinds_of_masks(dtype, key_mask):
    check(Case(dtype, key_mask=key_mask))


def test_an_image_without_a_clean_key_gives_zeros():
    case = Case(key_mask="half", mask="all")
    call = make_call(case)
    assert call.key_mask[0].sum() == 0 < call.key_mask[1].sum()
    out = run(case, call)
    assert (out[0] == 0).all()
    assert (out[1] != 0).all()


@pytest.mark.parametrize("keys", [(1, 1), (1, 15), (4, 4), (1, 17), (7, 9)], ids=str)
def test_keys_of_one_block_more_or_less(keys):
    check(Case(keys=keys, key_mask="all"))


@pytest.mark.parametrize("first", [16, 32])
def test_blocks_without_a_clean_key_come_first(first):
    case = Case(keys=(5, 8), key_mask="all")
    call = make_call(case)
    for part in (call.key, call.value):
        part.reshape(*part.shape[:2], -1)[:, :, :first] = np.nan
    call.key_mask.reshape(case.n, -1)[:, :first] = 0
    judge(case, call, run(case, call))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (1, 17)], ids=str)
def test_pictures_of_one_tile_more_or_less(size):
    check(Case(size=size, mask="all"))


@pytest.mark.parametrize(("c", "d", "tile"), [(1, 3, (16,) * 4), (16, 16, (16,) * 4), (33, 67, (32, 16, 64, 128))])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_channels_need_no_multiples(dtype, c, d, tile):
    check(Case(dtype, c=c, d=d, tile=tile, layouts=("pixels", "pixels")))


@pytest.mark.parametrize("programs", [1, 2, 5])
def test_any_number_of_programs_covers_all_tiles(programs):
    check(Case(mask="all", size=(6, 9), programs=programs))  # 4 tiles


@pytest.mark.parametrize("spread", [30.0, 1000.0])
def test_scores_of_any_size_stay_finite(spread):
    check(Case(mask="all", keys=(5, 8), key_mask="all", spread=spread))  # exp() of scores beyond 88 overflows


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_cases_of_any_shape(data):
    layouts = st.sampled_from(["linear", "pixels"])
    case = Case(
        data.draw(st.sampled_from(["float32", "float16"])),
        n=data.draw(st.integers(1, 3)),
        c=data.draw(st.integers(1, 16)),
        d=data.draw(st.integers(1, 32)),
        size=(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))),
        keys=(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))),
        mask=data.draw(st.sampled_from(MASKS)),
        scale=data.draw(st.floats(0.05, 2.0)),
        layouts=(data.draw(layouts), data.draw(layouts)),
        programs=data.draw(st.integers(1, 3)),
    )
    call = make_call(dataclasses.replace(case, key_mask="all"))
    flips = data.draw(st.lists(st.booleans(), min_size=call.key_mask.size, max_size=call.key_mask.size))
    call.key_mask[...] = np.reshape(flips, call.key_mask.shape)
    judge(case, call, run(case, call))


# What the tolerance and the checks must refuse

STRICT = Case("float16", c=11, d=19, keys=(5, 8), layouts=("pixels", "pixels"))
TILES = Case("float16", mask="all", size=(6, 7), layouts=("pixels", "pixels"))


def test_a_shifted_mask_of_keys_is_noticed():
    call = make_call(dataclasses.replace(STRICT, key_mask="all"))
    call.key_mask = make_call(STRICT).key_mask
    wrong = dataclasses.replace(call, key_mask=np.roll(call.key_mask, 1, axis=3))
    with pytest.raises(AssertionError, match="values are off"):
        judge(STRICT, call, run(STRICT, wrong))


@pytest.mark.parametrize("swapped", ["IN", "OUT"])
def test_swapped_layouts_are_noticed(swapped):
    case = dataclasses.replace(STRICT, c=16, d=16, mask="all")
    call = make_call(case)
    with pytest.raises(AssertionError, match="values are off"):
        judge(case, call, run(case, call, **{swapped: LAYOUTS["linear"]}))


MUTANTS = [
    (STRICT, "m_j = o_j < keys", "m_j = o_j < keys - 1"),
    (STRICT, "range(0, keys, BJ)", "range(BJ, keys, BJ)"),
    (STRICT, "range(0, keys, BJ)", "range(0, BJ, BJ)"),
    (STRICT, "(scale * LOG2_E)", "(scale * LOG2_E * 1.01)"),
    (STRICT, 'tl.where(m_j[None, :], b_score, float("-inf"))', "tl.where(m_j[None, :], b_score, 0.0)"),
    (STRICT, "b_acc * b_shrink[:, None]", "b_acc"),
    (STRICT, "b_sum * b_shrink +", "b_sum +"),
    (STRICT, "p_key_mask += i_n", "p_key_mask += 0 * i_n"),
    (STRICT, "p_key += i_n", "p_key += 0 * i_n"),
    (STRICT, "p_value += i_n", "p_value += 0 * i_n"),
    (dataclasses.replace(STRICT, key_mask="one"), 'b_next == float("-inf")', 'b_next > float("inf")'),
    (dataclasses.replace(STRICT, key_mask="none"), "b_sum[:, None] > 0", "b_sum[:, None] >= 0"),
    (TILES, "tl.num_programs(0)", "3"),
    (TILES, "m_m = o_m < count", "m_m = o_m < count - 1"),
    (TILES, "range(tl.program_id(0), ", "range(0 * tl.program_id(0) + 1, "),
    (TILES, "i_n.to(tl.int64) * pixels + o_m", "i_n.to(tl.int64) * 0 + o_m"),
]


def test_the_right_kernel_passes():
    for case in dict.fromkeys(case for case, _, _ in MUTANTS):
        check(case)


@pytest.mark.parametrize(("case", "old", "new"), MUTANTS, ids=lambda part: part[:40] if isinstance(part, str) else "")
def test_a_wrong_kernel_is_noticed(case, old, new, tmp_path):
    mutant = make_mutant(non_local, old, new, tmp_path)
    call = make_call(case)
    if old.startswith("i_n.to"):
        call.mask[0, 0, 0, 0] = 0  # the lists of the two images differ
    with pytest.raises(AssertionError):
        judge(case, call, run(case, call, mutant))


def run_listed(entry: int, count: int, module: ModuleType = non_local) -> np.ndarray:
    """Run a kernel on the list of `fill_list`."""
    case = Case("float16", n=1, c=8, d=8, size=LISTED, mask="all", layouts=("pixels", "pixels"))
    return run(case, make_call(case), module, **fill_list(entry, count))


@pytest.mark.parametrize("entry", OUTSIDE)
def test_no_pixel_outside_is_written_whatever_the_list_says(entry):
    assert is_poison(run_listed(entry, 200)).all()


@pytest.mark.parametrize(("old", "new", "given"), TRUSTING)
def test_a_kernel_that_trusts_its_list_is_noticed(old, new, given, tmp_path):
    expected, mutant = run_listed(*given), make_mutant(non_local, old, new, tmp_path)
    with np.errstate(all="ignore"), pytest.raises(AssertionError):
        np.testing.assert_array_equal(run_listed(*given, mutant), expected)
