"""Triton kernels on the CPU: the same source that is compiled for GPUs, run by Triton's interpreter.

The environment variable TRITON_INTERPRET would do that for a whole process, and only if set before Triton's first import;
a test run compiles in the same process. So `interpreted` makes a second copy of a kernel instead: its function body with
a namespace of its own, in which every `@triton.jit` helper (of this project and of `triton.language`) is replaced by
its interpreted form. The kernel itself, and its compilation, are not touched. Interpreter and compiler share one module,
which the interpreter patches during a launch: never compile in one thread while another interprets.

Checked against Triton 3.9, whose interpreter is internal: `test_kernel_harness.py` notices a change.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import triton.language as tl
from triton.language import standard
from triton.runtime.interpreter import FunctionRewriter, InterpretedFunction, TensorHandle
from triton.runtime.jit import JITFunction

GUARD = 64
"""Poisoned elements before and after every buffer."""
POISON = {"f": np.nan, "i": 99}
"""By kind of element. 99 is a wrong int8 value, pixel and count."""

TYPES = {"float32": tl.float32, "float16": tl.float16, "int8": tl.int8, "int32": tl.int32}


class _Language:
    """`triton.language` with its `@triton.jit` functions (sum, zeros, cdiv, ...) in interpreted form."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(tl, name)
        return _translate(standard.__dict__)[name] if isinstance(value, JITFunction) else value


_namespaces: dict[int, dict[str, Any]] = {}


def _translate(names: dict[str, Any]) -> dict[str, Any]:
    """The interpreted counterpart of a module's names, made once."""
    if id(names) not in _namespaces:
        namespace = _namespaces[id(names)] = dict(names)
        own = names is standard.__dict__
        for name, value in names.items():
            if value is tl:
                namespace[name] = _Language()
            elif isinstance(value, JITFunction) and not (own and name.startswith("_")):
                # Private ones of triton.language are handed to reduce(), which the interpreter tells by identity.
                namespace[name] = FunctionRewriter(_copy(value)).rewrite_ast()
        namespace["_interpreted_language"], namespace["_interpreted_core"] = tl, tl.core  # what the interpreter patches
    return _namespaces[id(names)]


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
    """Host memory at `address` as a kernel's pointer; `element` is a key of TYPES. The caller keeps the memory alive."""
    kind = tl.pointer_type(TYPES[element])
    return tl.tensor(TensorHandle(np.array([address], np.uint64), kind), kind)


def launch(kernel: JITFunction, grid: tuple[int, ...], arguments: Mapping[str, Any]) -> None:
    """Interpret a kernel on C-contiguous arrays, ints and floats, given by parameter name."""
    missing = set(kernel.arg_names) ^ set(arguments)
    if missing:
        raise TypeError(f"{kernel.__name__} takes {kernel.arg_names}; absent or unknown: {sorted(missing)}")
    made = {
        name: pointer(value.ctypes.data, value.dtype.name) if isinstance(value, np.ndarray) else value
        for name, value in arguments.items()
    }
    with np.errstate(all="ignore"):
        interpreted(kernel)[grid](**made)


def poisoned(shape: tuple[int, ...] | int, dtype: Any) -> np.ndarray:
    """An array full of POISON, between guards of the same."""
    size = int(np.prod(shape))
    kind = np.dtype(dtype)
    whole = np.full(size + 2 * GUARD, POISON[kind.kind], kind)
    return whole[GUARD : GUARD + size].reshape(shape)


def guarded(array: np.ndarray) -> np.ndarray:
    """A copy between poisoned guards."""
    copy = poisoned(array.shape, array.dtype)
    copy[...] = array
    return copy


def require_intact_guards(array: np.ndarray) -> None:
    """AssertionError when something was written before or after an array of `poisoned`."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    guards = np.concatenate([whole[:GUARD], whole[-GUARD:]])
    assert whole.size == array.size + 2 * GUARD, "not an array of poisoned()"
    poison = POISON[array.dtype.kind]
    assert np.isnan(guards).all() if array.dtype.kind == "f" else (guards == poison).all(), "written out of bounds"
