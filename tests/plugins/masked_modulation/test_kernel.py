"""MaskedModulation in Triton's interpreter against its definition: types, layouts, masks and means far from zero.

Partial moments, the affine map and the output start as NaN, as do padding channels and what surrounds each array.

Tolerance, for each value, with u = 2^-24 and n = pixels of a block + blocks + 8, the longest chain of additions: a mean
is off by at most m = n u max |x|; a variance v by n u v + m^2, as its centre is off by m; the scale by half the sum of
what both variances are off, relatively, and 4 u. The output scale * (x - mean1) + mean0 is off by what the scale is,
times |x - mean1|, by (1 + scale) m, and by 3 u of |x| scale + |mean1| scale + |mean0|, its terms; then it is rounded.
A one-pass variance is off by u mean^2 instead: far beyond this where the mean is a thousand deviations.
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

from spair.plugins.masked_modulation import kernel as modulation
from spair.plugins.masked_modulation.reference import masked_modulation
from tests.plugins.kernel_harness import (
    LAYOUTS,
    MASKS,
    from_layout,
    guarded,
    launch,
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

pytestmark = pytest.mark.sampled(2)


@dataclass(frozen=True)
class Case:
    """One call of the operator, and how it is launched."""

    dtype: str = "float32"
    n: int = 2
    c: int = 5
    size: tuple[int, int] = (9, 7)
    mask: str = "random"
    mean: float = 0.5
    deviation: float = 1.0
    eps: float = 1e-5
    layouts: tuple[str, str] = ("linear", "linear")
    tile: tuple[int, int] = (16, 16)
    merged: int = 2

    @property
    def blocks(self) -> int:
        return -(-self.size[0] * self.size[1] // self.tile[0])


def make_call(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """x, whose distorted pixels are brighter and flatter, and the mask."""
    rng = np.random.default_rng(2)
    mask = make_mask(case.mask, case.n, *case.size)
    x = case.mean + case.deviation * rng.normal(size=(case.n, case.c, *case.size)) * np.where(mask, 0.4, 1.0) + 2 * mask
    return x.astype(case.dtype), mask.astype(case.dtype)


def define(case: Case, x: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the operator's definition gives, and the tolerance for it; both [N,C,H,W]."""
    expected = masked_modulation(x.astype(np.float32), mask, eps=case.eps).astype(np.float64)
    tolerance = np.zeros_like(expected)
    steps = (case.tile[0] + case.blocks + 8) * UNIT
    for n, c in np.ndindex(case.n, case.c):
        distorted, plane = mask[n, 0] != 0, x[n, c].astype(np.float64)
        if distorted.all() or not distorted.any():
            continue
        mean0, mean1 = plane[~distorted].mean(), plane[distorted].mean()
        variances = plane[~distorted].var() + case.eps, plane[distorted].var() + case.eps
        scale = np.sqrt(variances[0] / variances[1])
        off_mean = steps * np.abs(plane).max()
        off_scale = sum(steps + off_mean**2 / variance for variance in variances) / 2 + 4 * UNIT
        terms = np.abs(plane) * scale + abs(mean1) * scale + abs(mean0)
        total = off_scale * scale * np.abs(plane - mean1) + (1 + scale) * off_mean + 3 * UNIT * terms
        tolerance[n, c] = (total + rounding(expected[n, c], case.dtype)) * distorted
    return expected, tolerance


def launch_affine(case: Case, x: np.ndarray, mask: np.ndarray, module: ModuleType = modulation) -> np.ndarray:
    """Scale and shift [N,C,2] of the first two kernels."""
    pixels, (bp, bc), layout = mask[0].size, case.tile, LAYOUTS[case.layouts[0]]
    memory = to_layout(x, layout)
    partial, affine = poisoned((case.n, case.c, case.blocks, 6), np.float32), poisoned((case.n, case.c, 2), np.float32)
    moments = {"p_x": memory, "p_mask": guarded(mask), "p_partial": partial, "pixels": pixels, "channels": case.c}
    moments |= {"x_pitch": memory.shape[-1], "blocks": case.blocks, "IN": layout, "BP": bp, "BC": bc}
    launch(module.masked_moments, (case.blocks, -(-case.c // bc), case.n), moments)
    merge = {"p_partial": partial, "p_affine": affine, "blocks": case.blocks, "channels": case.c, "eps": case.eps}
    launch(module.merge_moments, (case.c, case.n), {**merge, "BLOCK": case.merged})
    require_intact_guards(partial, affine)
    return affine


def run(
    case: Case, x: np.ndarray, mask: np.ndarray, affine: np.ndarray, module: ModuleType = modulation, **changed: Any
) -> np.ndarray:
    """The output in memory, of the third kernel. `changed`: arguments."""
    (bp, bc), (from_, to) = case.tile, (LAYOUTS[name] for name in case.layouts)
    memory, out = to_layout(x, from_), poisoned(shape_of(x.shape, to, x.dtype), x.dtype)
    arguments = {
        "p_x": memory, "p_mask": guarded(mask), "p_affine": affine, "p_out": out, "pixels": mask[0].size,
        "channels": case.c, "x_pitch": memory.shape[-1], "out_pitch": out.shape[-1], "IN": from_, "OUT": to,
        "BP": bp, "BC": bc,
    }  # fmt: skip
    launch(module.apply_affine, (case.blocks, -(-case.c // bc), case.n), {**arguments, **changed})
    require_intact_guards(out)
    return out


def judge(case: Case, x: np.ndarray, mask: np.ndarray, out: np.ndarray) -> None:
    """AssertionError unless distorted pixels are right, clean ones the input's bit for bit, and the padding zero."""
    values, padding = from_layout(out, LAYOUTS[case.layouts[1]], case.c)
    assert (padding == 0).all(), "padding is not zero"
    clean = np.broadcast_to(mask == 0, x.shape)
    assert values[clean].tobytes() == x[clean].tobytes(), "a clean pixel differs"
    require_within(values, *define(case, x, mask))


def check(case: Case, module: ModuleType = modulation) -> None:
    x, mask = make_call(case)
    judge(case, x, mask, run(case, x, mask, launch_affine(case, x, mask, module), module))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "layouts", [("linear", "linear"), ("pixels", "pixels"), ("pixels", "linear"), ("linear", "pixels")], ids="-".join
)
def test_types_and_layouts(dtype, layouts):
    check(Case(dtype, layouts=layouts))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_masks_of_all_kinds(dtype, mask):
    check(Case(dtype, mask=mask, layouts=("pixels", "pixels")))


@pytest.mark.parametrize("mask", ["none", "all"])
def test_images_without_clean_or_distorted_pixels_keep_their_values(mask):
    case = Case(mask=mask)
    x, of = make_call(case)
    affine = launch_affine(case, x, of)
    assert (affine[..., 0] == 1).all()
    assert (affine[..., 1] == 0).all()
    assert (run(case, x, of, affine) == x).all()


@pytest.mark.parametrize("channels", [1, 3, 17, 67])
def test_channels_need_no_multiples(channels):
    check(Case("float16", n=1, c=channels, size=(3, 7), layouts=("pixels", "pixels")))


@pytest.mark.parametrize("size", [(1, 1), (1, 15), (4, 4), (1, 17), (13, 7)], ids=str)
def test_pictures_of_one_block_more_or_less(size):
    check(Case(size=size, c=3))


@pytest.mark.parametrize("merged", [1, 4, 8])
def test_blocks_are_merged_in_any_number(merged):
    check(Case(merged=merged, c=3))  # 4 blocks


@pytest.mark.parametrize("tile", [(16, 8), (64, 32), (128, 16)], ids=str)
def test_tiles_of_any_size(tile):
    check(Case("float16", tile=tile, c=19, n=1, layouts=("pixels", "pixels")))


@pytest.mark.parametrize("mean", [1e3, -1e4, 1e5])
def test_a_large_mean_costs_no_precision(mean):
    check(Case(mean=mean, c=3, deviation=1.0, size=(11, 13)))


def test_the_tolerance_at_a_large_mean_refuses_a_one_pass_variance():
    case = Case(mean=1e4, c=3, size=(11, 13))
    x, mask = make_call(case)
    affine = poisoned((case.n, case.c, 2), np.float32)
    for n, c in np.ndindex(case.n, case.c):
        sets = [x[n, c][mask[n, 0] == of] for of in (0, 1)]
        means = [part.mean() for part in sets]
        variances = [np.maximum((part * part).mean() - part.mean() ** 2, 0) for part in sets]
        scale = np.sqrt((variances[0] + case.eps) / (variances[1] + case.eps))
        affine[n, c] = scale, means[0] - means[1] * scale
    with pytest.raises(AssertionError, match="values are off"):
        judge(case, x, mask, run(case, x, mask, affine))


def test_flat_regions_are_scaled_by_eps_alone():
    case = Case(eps=0.25, c=3)
    x, mask = make_call(case)
    x = np.where(mask != 0, x, np.float32(3))
    judge(case, x, mask, run(case, x, mask, launch_affine(case, x, mask)))
    judge(case, -x * 0 + 1, mask, run(case, -x * 0 + 1, mask, launch_affine(case, -x * 0 + 1, mask)))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_clean_pixels_keep_every_bit(dtype):
    case = Case(np.dtype(dtype).name, n=1, c=2, size=(3, 5))
    x, mask = make_call(case)
    clean = np.broadcast_to(mask == 0, x.shape)
    bits = np.dtype(f"u{x.itemsize}")
    odd = np.array([-0.0, np.inf, np.nan, np.finfo(dtype).smallest_subnormal], dtype)
    x[clean] = np.resize(odd, clean.sum())
    x.view(bits)[clean] ^= (np.isnan(x[clean]) * 5).astype(bits)  # NaNs that carry something
    out = run(case, x, mask, np.full((1, 2, 2), 7, np.float32))
    assert out[clean].tobytes() == x[clean].tobytes()
    assert (out[~clean] != x[~clean]).all()


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_cases_of_any_shape(data):
    layouts = st.sampled_from(["linear", "pixels"])
    case = Case(
        data.draw(st.sampled_from(["float32", "float16"])),
        n=data.draw(st.integers(1, 2)),
        c=data.draw(st.integers(1, 9)),
        size=(data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))),
        mean=data.draw(st.floats(-100, 100)),
        eps=data.draw(st.sampled_from([1e-5, 0.1])),
        layouts=(data.draw(layouts), data.draw(layouts)),
    )
    x, mask = make_call(case)
    flips = data.draw(st.lists(st.booleans(), min_size=mask.size, max_size=mask.size))
    mask[...] = np.reshape(flips, mask.shape)
    judge(case, x, mask, run(case, x, mask, launch_affine(case, x, mask)))


# What the tolerance and the checks must refuse

STRICT = Case(c=3, mask="random", mean=3.0, eps=0.01, layouts=("pixels", "linear"))


def test_a_shifted_mask_is_noticed():
    x, mask = make_call(STRICT)
    wrong = np.roll(mask, 1, axis=3)
    with pytest.raises(AssertionError, match="values are off"):
        judge(STRICT, x, mask, run(STRICT, x, mask, launch_affine(STRICT, x, wrong)))
    with pytest.raises(AssertionError, match="a clean pixel differs"):
        judge(STRICT, x, mask, run(STRICT, x, wrong, launch_affine(STRICT, x, mask)))


@pytest.mark.parametrize("swapped", ["IN", "OUT"])
def test_swapped_layouts_are_noticed(swapped):
    case = dataclasses.replace(STRICT, layouts=("pixels", "pixels"))
    x, mask = make_call(case)
    affine = launch_affine(case, x, mask)
    with pytest.raises(AssertionError, match="a clean pixel differs"):
        judge(case, x, mask, run(case, x, mask, affine, **{swapped: LAYOUTS["linear"]}))


FLAT = dataclasses.replace(STRICT, deviation=0.05)
MUTANTS = [
    (STRICT, "m_p & (b_mask == 0)", "(b_mask == 0)"),
    (STRICT, "m_p & (b_mask != 0)", "m_p & (b_mask >= 0)"),
    (dataclasses.replace(STRICT, mask="one"), "/ tl.maximum(count, 1.0)", "/ count"),
    (STRICT, "b_x - b_mean[None, :]", "b_x"),
    (STRICT, "b_squares + b_count * b_spread * b_spread", "b_squares"),
    (STRICT, "squares += count * (next_mean - mean) * (next_mean - mean)", "squares += 0.0"),
    (STRICT, "b_count * (b_mean - mean)", "b_count * b_mean"),
    (STRICT, "o_b < blocks", "o_b < blocks - 1"),
    (STRICT, "range(0, blocks, BLOCK)", "range(BLOCK, blocks, BLOCK)"),
    (STRICT, "mean0 - mean1 * scale", "mean0 - mean1"),
    (STRICT, "(variance0 + eps)", "variance0"),
    (FLAT, "(variance1 + eps)", "(variance1 + 2 * eps)"),
    (dataclasses.replace(STRICT, mask="all"), "tl.where(both, scale, 1.0)", "scale"),
    (dataclasses.replace(STRICT, mask="all"), "tl.where(both, mean0 - mean1 * scale, 0.0)", "mean0 - mean1 * scale"),
    (STRICT, "tl.where(b_mask[:, None], b_moved, b_x)", "b_moved"),
    (STRICT, "(i_n * channels + o_c) * 2", "o_c * 2"),
    (STRICT, "((i_n.to(tl.int64) * channels + o_c) * blocks + i_b) * 6", "(o_c * blocks + i_b) * 6"),
]


def test_the_right_kernel_passes():
    for case in dict.fromkeys(case for case, _, _ in MUTANTS):
        check(case)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("case", "old", "new"), MUTANTS, ids=lambda part: part[:40] if isinstance(part, str) else "")
def test_a_wrong_kernel_is_noticed(case, old, new, tmp_path):
    with pytest.raises(AssertionError):
        check(case, make_mutant(modulation, old, new, tmp_path))
