"""SparseCompose in Triton's interpreter against its definition: exactly equal, as each value is one sum in FP32.

The output starts as NaN, as do padding channels, the residual at clean pixels, and what surrounds each array.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spair.plugins.sparse_compose import kernel as compose
from spair.plugins.sparse_compose.reference import sparse_compose
from tests.plugins.kernel_harness import (
    LAYOUTS,
    MASKS,
    guarded,
    launch,
    make_mask,
    make_mutant,
    poisoned,
    require_intact_guards,
    to_layout,
)

pytestmark = pytest.mark.sampled(2)


@dataclass(frozen=True)
class Case:
    """One call of the operator, and how it is launched."""

    dtype: str = "float32"
    n: int = 2
    c: int = 3
    size: tuple[int, int] = (9, 7)
    mask: str = "random"
    layout: str = "linear"
    limits: tuple[float, float] = (0.0, 1.0)
    tile: tuple[int, int] = (16, 4)


def make_call(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, residual and mask; the residual is NaN at clean pixels."""
    rng = np.random.default_rng(3)
    mask = make_mask(case.mask, case.n, *case.size).astype(case.dtype)
    shape = (case.n, case.c, *case.size)
    residual = np.where(mask != 0, rng.normal(size=shape), np.nan).astype(case.dtype)
    return rng.random(shape, np.float32), residual, mask


def run(case: Case, *arrays: np.ndarray, module: ModuleType = compose, **changed: Any) -> np.ndarray:
    """The output. `changed`: arguments."""
    picture, residual, mask = arrays
    layout, (bp, bc) = LAYOUTS[case.layout], case.tile
    memory, out = to_layout(residual, layout), poisoned(picture.shape, np.float32)
    pixels = mask[0].size
    arguments = {
        "p_picture": guarded(picture), "p_residual": memory, "p_mask": guarded(mask), "p_out": out, "pixels": pixels,
        "channels": case.c, "added_pitch": memory.shape[-1], "low": case.limits[0], "high": case.limits[1],
        "IN": layout, "BP": bp, "BC": bc,
    }  # fmt: skip
    launch(module.compose_pixels, (-(-pixels // bp), -(-case.c // bc), case.n), {**arguments, **changed})
    require_intact_guards(out)
    return out


def check(case: Case, module: ModuleType = compose) -> None:
    arrays = make_call(case)
    expected = sparse_compose(*arrays, low=case.limits[0], high=case.limits[1])
    np.testing.assert_array_equal(run(case, *arrays, module=module), expected)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["linear", "pixels"])
@pytest.mark.parametrize("mask", MASKS)
def test_types_layouts_and_masks(dtype, layout, mask):
    check(Case(dtype, layout=layout, mask=mask))


@pytest.mark.parametrize("channels", [1, 4, 9])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (1, 17)], ids=str)
def test_channels_and_pixels_need_no_multiples(channels, size):
    check(Case("float16", c=channels, size=size, layout="pixels", mask="half", limits=(-0.5, 2.0)))


def test_clean_pixels_keep_every_bit_and_distorted_ones_their_nan():
    case = Case(n=1, c=2, size=(3, 5))
    picture, residual, mask = make_call(case)
    clean = np.broadcast_to(mask == 0, picture.shape)
    picture[clean] = np.resize(np.float32([-0.0, np.inf, np.nan, -7, 1e-45]), clean.sum())
    picture.view(np.uint32)[clean] ^= (np.isnan(picture[clean]) * 5).astype(np.uint32)  # NaNs that carry something
    residual[~clean] = np.resize(np.float32([np.nan, np.inf, -np.inf]), (~clean).sum())
    out = run(case, picture, residual, mask)
    assert out[clean].tobytes() == picture[clean].tobytes()
    np.testing.assert_array_equal(out[~clean], np.resize(np.float32([np.nan, 1, 0]), (~clean).sum()))


# What the comparison must notice


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("!= 0  # [BP]", "== 0  # [BP]"),
        ("tl.where(b_mask[:, None], b_moved, b_picture)", "b_moved"),
        ("tl.where(b_moved > high, high, b_moved)", "b_moved"),
        ("tl.where(b_moved < low, low, b_moved)", "tl.maximum(b_moved, high)"),
        ("b_picture + b_residual", "b_picture - b_residual"),
    ],
)
def test_a_wrong_kernel_is_noticed(old, new, tmp_path):
    case = Case("float16", layout="pixels")
    with pytest.raises(AssertionError):
        check(case, make_mutant(compose, old, new, tmp_path))


def test_a_swapped_layout_is_noticed():
    case = Case(layout="pixels")
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(
            run(case, *make_call(case), IN=LAYOUTS["linear"]), sparse_compose(*make_call(case))
        )
    check(dataclasses.replace(case, layout="linear"))
