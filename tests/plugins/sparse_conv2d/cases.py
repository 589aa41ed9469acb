"""Calls of SparseConv2d in Triton's interpreter, and how they are judged against the definition.

Floats that become INT8 as they are gathered are made so that their quotients by the scale fall on halves as well.

What must not be read is NaN (99 in integers): clean pixels of x, absent neighbours, padding channels, what
surrounds each array, a residual that is not there. What must not be written is checked to be poison still.

Tolerance, for each value from the definition: a sum of n products in FP32, in any order, is off by at most n units of
rounding (2^-24) of the sum of their magnitudes (Higham, Accuracy and Stability, 3.1); bias, activation, scale and
residual are 5 operations more; then one rounding to the output's type. Sums of INT8 products are exact up to their
conversion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from spair.plugins.compaction import kernel as compaction
from spair.plugins.compiler.kernels.tiles import split_channels
from spair.plugins.sparse_conv2d import kernel as conv
from spair.plugins.sparse_conv2d import layer_kernel
from spair.plugins.sparse_conv2d.reference import quantize, sparse_conv2d, sparse_conv2d_int8, spread
from tests.plugins.counting import NUMBER_TYPES
from tests.plugins.kernel_harness import (
    LAYOUTS,
    from_layout,
    guarded,
    is_poison,
    launch,
    list_active,
    make_mask,
    poisoned,
    require_intact_guards,
    require_within,
    rounding,
    shape_of,
    to_layout,
)

SCALE = 0.046875
"""Of INT8 x: a half whose products with half steps are halves as well, while its reciprocal is rounded."""
OUT_SCALE = 0.01171875
"""Scale of INT8 outputs, a half, with which some are clamped."""
UNIT = 2.0**-24
"""Rounding of FP32, relative."""

TYPES = {
    "fp32": ("float32",) * 3,
    "fp16": ("float16",) * 3,
    "int8-fp16": ("int8", "int8", "float16"),
    "int8-fp32": ("int8", "int8", "float32"),
    "quantize-fp16": ("float16", "int8", "float16"),
    "quantize-fp32": ("float32", "int8", "float32"),
}
"""Of x, of the weights, and of everything else."""


@dataclass(frozen=True)
class Case:
    """One call of the operator, and how it is launched."""

    types: str = "fp32"
    n: int = 2
    c: int = 11
    d: int = 19
    size: tuple[int, int] = (5, 7)
    kernel: int = 3
    dilation: int = 1
    mask: str = "random"
    slope: float = 0.1
    sum_slope: float = 1.0
    clean_input: bool = False
    residual: bool = False
    coarse: bool = False
    joined: int = 0
    layouts: tuple[str, str] = ("linear", "linear")
    tile: tuple[int, int, int] = (16, 32, 32)
    programs: int = 2

    @property
    def integer(self) -> bool:
        return TYPES[self.types][1] == "int8"

    @property
    def quantize(self) -> bool:
        return self.types.startswith("quantize")


@dataclass
class Call:
    """Made-up inputs [N,C,H,W] of a case."""

    x: np.ndarray
    mask: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    residual: np.ndarray | None
    x_scale: np.ndarray = field(default_factory=lambda: np.float32([SCALE]))
    weight_scale: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


def make_call(case: Case) -> Call:
    """Random inputs; poison at every pixel of x and residual that the definition does not read."""
    rng = np.random.default_rng(0)
    of_x, of_weight, of_rest = TYPES[case.types]
    mask = make_mask(case.mask, case.n, *case.size)
    values = [
        rng.normal(size=(case.n, case.c, *case.size)),
        rng.normal(size=(case.d, case.c, case.kernel, case.kernel)),
    ]
    steps, weight = (np.round(v * 40).clip(-127, 127) if case.integer else v for v in values)
    x = draw_floats(rng, steps, of_x) if case.quantize else steps.astype(of_x)
    weight = weight.astype(of_weight)
    clean = np.broadcast_to(mask == 0, x.shape)
    if not case.clean_input:
        x[clean] = 99 if of_x == "int8" else np.nan
    residual = rng.normal(size=(case.n, case.d, *case.size)).astype(of_rest) if case.residual else None
    if residual is not None:
        residual[np.broadcast_to(mask == 0, residual.shape)] = np.nan
    if residual is not None and case.coarse:
        residual = gather(residual)
    weight_scale = (0.01 + rng.random(case.d) / 50).astype(np.float32)
    bias = rng.normal(size=case.d).astype(of_rest)
    return Call(x, mask.astype(of_rest), weight, bias, residual, weight_scale=weight_scale)


def gather(residual: np.ndarray) -> np.ndarray:
    """The coarse residual of which `spread` makes this one."""
    n, d, h, w = residual.shape
    parts = residual.reshape(n, d, h // 2, 2, w // 2, 2).transpose(0, 3, 5, 1, 2, 4)
    return np.ascontiguousarray(parts.reshape(n, 4 * d, h // 2, w // 2))


def draw_floats(rng: np.random.Generator, steps: np.ndarray, dtype: str) -> np.ndarray:
    """About `steps` times SCALE: some at half a step as near as the type has it, some beyond INT8, some not finite."""
    kinds = rng.integers(0, 8, steps.shape)
    x = np.where(kinds < 3, steps + 0.5, steps + rng.uniform(-0.5, 0.5, steps.shape)) * SCALE
    x = np.where(kinds == 3, x * 300, x).astype(dtype)
    x[kinds == 4] = np.nextafter(x[kinds == 4], np.array(np.inf, dtype))
    x.flat[:2] = np.inf, -np.inf
    return x


def define(case: Case, call: Call) -> tuple[np.ndarray, np.ndarray]:
    """What the operator's definition gives, and the tolerance for it; both [N,D,H,W]."""

    def compute(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, residual: Any, slope: float) -> np.ndarray:
        options: dict[str, Any] = {"negative_slope": slope, "clean_input": case.clean_input, "dilation": case.dilation}
        options["sum_slope"] = case.sum_slope
        if case.integer:
            scales = float(call.x_scale[0]), call.weight_scale
            x = quantize(x, scales[0]) if case.quantize else x
            return sparse_conv2d_int8(x, call.mask, weight, bias, *scales, residual=residual, **options)
        return sparse_conv2d(x, call.mask, weight, bias, residual=residual, **options)

    added = call.residual if call.residual is None or not case.coarse else spread(call.residual)
    expected = compute(call.x, call.weight, call.bias, added, case.slope)
    held = [np.abs(part.astype(np.float32)) for part in (call.x, call.weight, call.bias)]
    residual = None if added is None else np.abs(added.astype(np.float32))
    terms = 1 if case.integer else case.c * case.kernel**2
    magnitude = compute(*held, residual, 1.0).astype(np.float64)
    return expected, (terms + 5) * UNIT * magnitude + rounding(expected, TYPES[case.types][2])


def pack(call: Call, module: ModuleType = conv) -> np.ndarray:
    """The weights as `pack_weight` leaves them, checked to be complete."""
    d, c, k, _ = call.weight.shape
    columns = -(-d // 16) * 16
    integer = call.weight.dtype == np.int8
    packed = poisoned((k * k, columns, -(-c // 32) * 32) if integer else (k * k, c, columns), call.weight.dtype)
    arguments = {"p_weight": guarded(call.weight), "p_packed": packed, "channels": c, "outputs": d, "taps": k * k}
    grid = (-(-packed.size // 64),)
    launch(module.pack_weight, grid, {**arguments, "packed_outputs": columns, "BLOCK": 64})
    require_intact_guards(packed)
    return packed


def combine(call: Call, module: ModuleType = conv) -> np.ndarray:
    """The scales as `combine_scales` leaves them."""
    scale = poisoned(call.weight_scale.shape, np.float32)
    arguments = {"p_x_scale": guarded(call.x_scale), "p_weight_scale": guarded(call.weight_scale), "p_scale": scale}
    launch(module.combine_scales, (-(-scale.size // 16),), {**arguments, "outputs": scale.size, "BLOCK": 16})
    require_intact_guards(scale)
    return scale


def run(case: Case, call: Call, module: ModuleType = conv, **changed: Any) -> np.ndarray:
    """Launch as a plugin does; the output in memory, poison where the kernel wrote nothing. `changed`: arguments."""
    from_, to = (LAYOUTS[name] for name in case.layouts)
    index, count = list_active(call.mask)
    out = poisoned(shape_of((case.n, case.d, *case.size), to, call.mask.dtype), call.mask.dtype)
    x, joined = split(case, call, from_)
    bm, bn, bk = case.tile
    arguments = {
        "p_x": x, "p_joined": joined, "p_mask": guarded(call.mask), "p_index": index, "p_count": count,
        "p_packed": pack(call, module), "p_bias": guarded(call.bias),
        "p_x_scale": guarded(call.x_scale) if case.quantize else poisoned((1,), np.float32),
        "p_scale": combine(call, module) if case.integer else poisoned((1,), np.float32),
        "p_residual": out if call.residual is None else to_layout(call.residual, to),
        "p_out": out, "p_steps": poisoned((1,), np.int8),
        "height": case.size[0], "width": case.size[1], "channels": case.c, "outputs": case.d,
        "joined": case.joined, "own": -(-(case.c - case.joined) // 8) * 8,
        "joined_pitch": joined.shape[-1] if case.joined else 0,
        "packed_outputs": -(-case.d // 16) * 16, "x_pitch": x.shape[-1], "out_pitch": out.shape[-1],
        "residual_pitch": (4 if case.coarse else 1) * out.shape[-1],
        "kernel": case.kernel, "dilation": case.dilation, "clean_input": int(case.clean_input),
        "has_residual": int(case.residual) * (1 + case.coarse), "give": 0, "slope": case.slope,
        "sum_slope": case.sum_slope, "out_scale": np.nan,
        "IN": from_, "OUT": to, "BM": bm, "BN": bn, "BK": bk,
    }  # fmt: skip
    launch(module.sparse_conv2d, (case.programs, -(-case.d // bn), case.n), {**arguments, **changed})
    require_intact_guards(out)
    return out


def split(case: Case, call: Call, layout: int) -> tuple[np.ndarray, np.ndarray]:
    """The channels of x in memory, and those that are joined to it; x again where there are none."""
    own = case.c - case.joined
    x = to_layout(np.ascontiguousarray(call.x[:, :own]), layout)
    return x, to_layout(np.ascontiguousarray(call.x[:, own:]), layout) if case.joined else x


def list_windows(case: Case, call: Call) -> dict[str, np.ndarray]:
    """Lists of active pixels and their taps, as `compact_neighbours` leaves them."""
    (height, width), n = case.size, case.n
    lists = {name: poisoned((n, height * width), np.int32) for name in ("p_index", "p_taps")}
    lists["p_count"] = guarded(np.zeros(n, np.int32))
    sizes = {"height": height, "width": width, "dilation": case.dilation, "clean_input": int(case.clean_input)}
    grid = (-(-height // 8) * -(-width // 8), n)
    arguments = {"p_mask": guarded(call.mask), **lists, **sizes, "K": case.kernel, "BLOCK": 64}
    launch(compaction.compact_neighbours, grid, arguments)
    return lists


def run_layer(case: Case, call: Call, module: ModuleType = layer_kernel, **changed: Any) -> np.ndarray:
    """Launch the kernel of the case's own sizes as a plugin does; as `run`. Layouts are those of pixels."""
    from_, to = (LAYOUTS[name] for name in layouts_of(case.types)[1])
    weight = NUMBER_TYPES[TYPES[case.types][1]]
    width, rest = split_channels(case.c, weight)
    out = poisoned(shape_of((case.n, case.d, *case.size), to, call.mask.dtype), call.mask.dtype)
    bm, bn, _ = case.tile
    x, joined = split(case, call, from_)
    lists = list_windows(case, call)
    if case.kernel == 1:
        lists["p_taps"] = poisoned(lists["p_taps"].shape, np.int32)  # not read
    arguments = {
        "p_x": x, "p_joined": joined, **lists, "p_packed": pack(call), "p_bias": guarded(call.bias),
        "p_x_scale": guarded(call.x_scale) if case.quantize else poisoned((1,), np.float32),
        "p_scale": combine(call) if case.integer else poisoned((1,), np.float32),
        "p_residual": out if call.residual is None else to_layout(call.residual, to),
        "p_out": out, "p_steps": poisoned((1,), np.int8),
        "height": case.size[0], "width": case.size[1], "dilation": case.dilation, "first_bit": 0,
        "has_residual": int(case.residual), "slope": case.slope, "sum_slope": case.sum_slope,
        "out_scale": np.nan, "K": case.kernel, "C": case.c, "D": case.d,
        "BK": width, "REST": rest, "UP": int(case.coarse), "J": case.joined, "GIVE": 0, "BM": bm, "BN": bn,
    }  # fmt: skip
    launch(module.convolve_layer, (case.programs, -(-case.d // bn), case.n), {**arguments, **changed})
    require_intact_guards(out)
    return out


def require_steps(case: Case, call: Call, launcher: Callable[..., np.ndarray], name: str, **changed: Any) -> None:
    """AssertionError unless a kernel quantizes its output as a reader would.

    Args:
        case: the case.
        call: its inputs.
        launcher: `run` or `run_layer`.
        name: name of the kernel's argument that says what it gives.
        **changed: further arguments of `launcher`.
    """
    numbers = launcher(case, call, **changed)
    layout = LAYOUTS["linear" if case.layouts[1] == "linear" else "chw32"]
    of_pixels, _ = from_layout(numbers, LAYOUTS[case.layouts[1]], case.d)
    active = np.broadcast_to(call.mask != 0, of_pixels.shape)
    expected = quantize(of_pixels, OUT_SCALE)
    clamped = np.abs(expected[active].astype(int)) >= 127
    assert clamped.any() and not clamped.all(), "all or nothing is clamped"
    for give in (1, 2):
        steps = poisoned(shape_of((case.n, case.d, *case.size), layout, np.int8), np.int8)
        out = launcher(case, call, **{"p_steps": steps, name: give, "out_scale": OUT_SCALE, **changed})
        require_intact_guards(steps)
        assert is_poison(out).all() if give == 1 else np.array_equal(out, numbers, equal_nan=True)
        found = steps if layout == LAYOUTS["linear"] else steps.transpose(0, 1, 4, 2, 3).reshape(case.n, -1, *case.size)
        assert is_poison(found[:, case.d :]).all(), "padding was written"
        np.testing.assert_array_equal(found[:, : case.d], np.where(active, expected, 99))


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


def layouts_of(types: str) -> tuple[tuple[str, str], ...]:
    """Layouts of x and out that the plugins use, and one mixture."""
    dense = "chw32" if TYPES[types][0] == "int8" else "pixels"
    return ("linear", "linear"), (dense, "pixels"), (dense, "linear")
