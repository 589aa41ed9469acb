"""Triton kernels on the CPU: the same source that is compiled for GPUs, run by Triton's interpreter.

The environment variable TRITON_INTERPRET would do that for a whole process, and only if set before Triton is first
imported; but one test process also compiles. So `interpreted` makes a second copy of a kernel instead: its function
body with a namespace of its own, in which every `@triton.jit` helper (of this project and of `triton.language`) is
replaced by its interpreted form. The kernel itself and its compilation are not touched. The interpreter patches
`triton.language` during a launch, though: never compile in one thread while another interprets.

Triton's interpreter is internal to it; checked with Triton 3.9. `laws/test_kernel_harness.py` notices a change.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import triton.language as tl
from triton.language import standard
from triton.runtime.interpreter import FunctionRewriter, InterpretedFunction, TensorHandle
from triton.runtime.jit import JITFunction

from spair.plugins.layouts import CHW32, LINEAR, PIXELS

TYPES = {"float32": tl.float32, "float16": tl.float16, "int8": tl.int8, "int32": tl.int32, "int64": tl.int64}
"""Triton's types by the names of NumPy's."""
GUARD = 8192
"""Poisoned elements before and after every buffer: a wrong kernel that takes poison for a pixel stays in there."""
POISON = {"f": np.nan, "i": 99}
"""By kind of element. As pixel, count and INT8 value 99 is possible and wrong."""

LAYOUTS = {"linear": LINEAR.value, "pixels": PIXELS.value, "chw32": CHW32.value}


class _Language:
    """`triton.language` with its `@triton.jit` functions (sum, zeros, cdiv, ...) in interpreted form."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(tl, name)
        return _translate(standard.__dict__)[name] if isinstance(value, JITFunction) else value


_namespaces: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
"""By identity of a module's names: those names, kept so that the identity stays theirs, and the interpreted ones."""


def _translate(names: dict[str, Any]) -> dict[str, Any]:
    """The interpreted counterpart of a module's names, made once."""
    if id(names) not in _namespaces:
        namespace = dict(names)
        _namespaces[id(names)] = names, namespace
        for name, value in names.items():
            if value is tl:
                namespace[name] = _Language()
            elif isinstance(value, JITFunction) and not (names is standard.__dict__ and name.startswith("_")):
                # Private ones of triton.language are handed to reduce(), which the interpreter tells by identity.
                namespace[name] = FunctionRewriter(_copy(value)).rewrite_ast()
        namespace["_interpreted_language"], namespace["_interpreted_core"] = tl, tl.core  # what the interpreter patches
    return _namespaces[id(names)][1]


def _copy(kernel: JITFunction) -> types.FunctionType:
    """The Python function of a kernel, seeing interpreted helpers only."""
    function = kernel.fn
    copy = types.FunctionType(function.__code__, _translate(function.__globals__), function.__name__)
    copy.__defaults__, copy.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    copy.__annotations__, copy.__module__ = function.__annotations__, function.__module__
    return copy


@functools.cache
def interpreted(kernel: JITFunction) -> InterpretedFunction:
    """A `@triton.jit` kernel for the interpreter: `interpreted(kernel)[grid](*arguments)`.

    Arguments are ints, floats, what `pointer` returns, and the constants by name. Programs run one after the other.
    """
    return InterpretedFunction(_copy(kernel))


def pointer(address: int, element: str) -> tl.tensor:
    """Host memory at `address` as a kernel's pointer to elements of a type of TYPES; the caller keeps the memory."""
    kind = tl.pointer_type(TYPES[element])
    return tl.tensor(TensorHandle(np.array([address], np.uint64), kind), kind)


def launch(kernel: JITFunction, grid: tuple[int, ...], arguments: Mapping[str, Any]) -> None:
    """Interpret a kernel on C-contiguous arrays, ints and floats, given by parameter name."""
    differ = set(kernel.arg_names) ^ set(arguments)
    if differ:
        raise TypeError(f"{kernel.__name__} takes {kernel.arg_names}; absent or unknown: {sorted(differ)}")
    made = {}
    for name, value in arguments.items():
        assert not isinstance(value, np.ndarray) or value.flags.c_contiguous, f"{name} is not contiguous"
        made[name] = pointer(value.ctypes.data, value.dtype.name) if isinstance(value, np.ndarray) else value
    with np.errstate(all="ignore"):
        interpreted(kernel)[grid](**made)


def poisoned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array full of POISON, between guards of the same."""
    size, kind = int(np.prod(shape)), np.dtype(dtype)
    return np.full(size + 2 * GUARD, POISON[kind.kind], kind)[GUARD : GUARD + size].reshape(shape)


def guarded(array: np.ndarray) -> np.ndarray:
    """A contiguous copy between poisoned guards."""
    copy = poisoned(array.shape, array.dtype)
    copy[...] = array
    return copy


def is_poison(array: np.ndarray) -> np.ndarray:
    """Where an array still holds what `poisoned` put there."""
    return np.isnan(array) if array.dtype.kind == "f" else array == POISON[array.dtype.kind]


def require_intact_guards(*arrays: np.ndarray) -> None:
    """AssertionError when something was written before or after an array of `poisoned`."""
    for array in arrays:
        whole = array
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        assert whole.size == array.size + 2 * GUARD, "not an array of poisoned()"
        assert is_poison(whole[:GUARD]).all() and is_poison(whole[-GUARD:]).all(), "written out of bounds"


# Layouts


def pitch_of(channels: int, layout: int, dtype: Any) -> int:
    """Elements from one pixel to the next with PIXELS: kHWC for FP32, kHWC8 for FP16. Else the channels."""
    return -(-channels // 8) * 8 if layout == PIXELS.value and dtype == np.float16 else channels


def shape_of(shape: tuple[int, ...], layout: int, dtype: Any) -> tuple[int, ...]:
    """Shape in memory of a tensor [N,C,H,W]."""
    n, c, h, w = shape
    by_layout = {
        LINEAR.value: (n, c, h, w),
        PIXELS.value: (n, h, w, pitch_of(c, layout, dtype)),
        CHW32.value: (n, -(-c // 32), h, w, 32),
    }
    return by_layout[layout]


def to_layout(x: np.ndarray, layout: int) -> np.ndarray:
    """[N,C,H,W] as it lies in memory, between guards; guards and padding are poison."""
    memory = poisoned(shape_of(x.shape, layout, x.dtype), x.dtype)
    c = x.shape[1]
    if layout == LINEAR.value:
        memory[...] = x
    elif layout == PIXELS.value:
        memory[..., :c] = x.transpose(0, 2, 3, 1)
    else:
        for channel in range(c):
            memory[:, channel // 32, :, :, channel % 32] = x[:, channel]
    return memory


def from_layout(memory: np.ndarray, layout: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """[N,C,H,W] and the padding [N,pitch-C,H,W] of LINEAR or PIXELS memory."""
    planes = memory if layout == LINEAR.value else memory.transpose(0, 3, 1, 2)
    return planes[:, :channels], planes[:, channels:]


# Masks


def make_mask(kind: str, n: int, h: int, w: int, seed: int = 0) -> np.ndarray:
    """float32 [N,1,H,W]: none, all, holed (all but one pixel), one, corners, random, half (random, image 0 empty)."""
    mask = np.zeros((n, 1, h, w), np.float32)
    if kind in ("all", "holed"):
        mask[...] = 1
        mask[..., h // 2, w // 2] = kind == "all"
    elif kind == "one":
        mask[..., h // 2, w // 2] = 1
    elif kind == "corners":
        mask[..., [[0], [h - 1]], [0, w - 1]] = 1
    elif kind in ("random", "half"):
        mask[...] = np.random.default_rng(seed).random(mask.shape) < 0.4
        mask[0] *= kind == "random"
    else:
        assert kind == "none", kind
    return mask


MASKS = ("none", "all", "holed", "one", "corners", "half", "random")


def list_active(mask: np.ndarray, block: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """index [N,pixels] and count [N] as `compact_mask` may leave them: the last block first, then poison."""
    n, pixels = mask.shape[0], mask[0].size
    index, count = poisoned((n, pixels), np.int32), guarded(np.zeros(n, np.int32))
    for image, flat in enumerate(mask.reshape(n, pixels)):
        active = np.flatnonzero(flat)
        index[image, : active.size] = active[np.argsort(-(active // block), kind="stable")]
        count[image] = active.size
    return index, count


LISTED = (10, 11)
"""Height and width of the picture of `fill_list`."""
OUTSIDE = [-1, LISTED[0] * LISTED[1], 2**31 - 1, -(2**31)]
"""Entries of a list that are no pixels of it."""
TRUSTING = [
    ("m_m = m_m & is_inside(o_p, pixels)", "m_m = m_m", (OUTSIDE[1], 1)),
    ("tl.minimum(tl.load(p_count + i_n), pixels)", "tl.load(p_count + i_n)", (-1, 200)),
]
"""Replacements in a kernel that then trusts its list, and an entry and a count that it must not trust."""


def fill_list(entry: int, count: int) -> dict[str, np.ndarray]:
    """Make a list of `count` times the same entry, which no operator wrote."""
    index = np.full((1, LISTED[0] * LISTED[1]), entry, np.int32)
    return {"p_index": guarded(index), "p_count": guarded(np.array([count], np.int32))}


# Tolerances


def rounding(value: np.ndarray, dtype: Any) -> np.ndarray:
    """Largest error of rounding to a type: half a unit in the last place, or half the smallest number."""
    info = np.finfo(dtype)
    return np.abs(value) * (float(info.eps) / 2) + float(info.smallest_subnormal) / 2


def require_within(got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray) -> None:
    """AssertionError unless every value is finite and as near to the expected one as its own tolerance says."""
    assert got.shape == expected.shape
    error = np.abs(got.astype(np.float64) - expected)
    wrong = ~(error <= tolerance)  # NaN is never <=
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{wrong.sum()} of {wrong.size} values are off; the first, {at}, is {got[at]}, expected {expected[at]} "
            f"within {np.broadcast_to(tolerance, got.shape)[at]:.2e}"
        )


# Mutants: a test that passes on a wrong kernel is none


def make_mutant(module: types.ModuleType, old: str, new: str, folder: Path) -> types.ModuleType:
    """The module of a kernel with one place of its source replaced, which must be there exactly once."""
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {module.__name__}"
    path = folder / "kernel.py"
    package = module.__name__.rpartition(".")[0]
    changed = source.replace(old, new).replace("from ..layouts", "from spair.plugins.layouts")
    path.write_text(changed.replace("from .kernel", f"from {package}.kernel"), encoding="utf-8")
    name = f"mutant_{folder.name}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    mutant = importlib.util.module_from_spec(spec)
    sys.modules[name] = mutant
    try:
        spec.loader.exec_module(mutant)
    finally:
        del sys.modules[name]
    return mutant
