"""Loading of the library of kernels."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...trust.ownership import check_ownership
from .compiling import compile_library, find_compiler, say_no_compiler
from .ready import find_ready
from .sets import InstructionSet, list_sets
from .structures import STRUCTURES, Packing

_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_WORD = 4
"""Bytes of a word of values."""
_LINE = 64
"""Bytes of a cache line."""
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("pack_f32", "pack_i8", "pack_bf16"), (_POINTER, _POINTER)),
    **dict.fromkeys(("round_values", "read_bytes", "write_bytes"), (_POINTER, _POINTER)),
    "halve_mask": (_POINTER, _POINTER, _INT, _INT, _POINTER),
    "grow_mask": (_POINTER, _POINTER, _INT, _INT, _POINTER),
    "count_rows": (_POINTER, _POINTER),
    "list_rows": (_POINTER, _POINTER),
    "find_parents": (_POINTER, _POINTER, _LONG, _INT, _POINTER, _POINTER),
    **dict.fromkeys(("convolve_rows_f32", "convolve_rows_i8", "convolve_rows_bf16"), (_POINTER, _POINTER)),
    **dict.fromkeys(("attend_rows_f32", "sum_taps_f32"), (_POINTER, _POINTER)),
    "measure_moments_f32": (_POINTER, _POINTER),
    "add_keys_f32": (_POINTER, _POINTER),
    "lift_rows_f32": (_POINTER, _POINTER),
    **dict.fromkeys(("convolve_map_f32", "convolve_map_i8", "convolve_map_bf16"), (_POINTER, _POINTER)),
    "add_doubled_f32": (_POINTER, _POINTER),
    **dict.fromkeys(("find_mask_f32", "find_mask_i8", "find_mask_bf16"), (_POINTER, _POINTER)),
    "read_planes_f32": (_POINTER, _POINTER, _LONG, _LONG, _INT, _INT, _POINTER, _INT),
    "halve_pixels_f32": (_POINTER, _POINTER, _INT, _INT, _POINTER),
    "finish_planes_f32": (_POINTER, _POINTER),
}
"""Arguments of each function; the first is the pool of threads, which may be null where weights are packed."""
_COUNTING = ("count_rows", "finish_planes_f32")
"""Functions that return a number."""

_LOADED: dict[tuple[Path, str | None], Library] = {}
_LOCK = threading.Lock()


class Library:
    """Functions of the library for one instruction set.

    They are attributes with the names of `_SIGNATURES`. Calls release Python's lock.
    """

    def __init__(self, path: Path, sets: Sequence[InstructionSet]) -> None:
        """Load a library and choose an instruction set.

        Args:
            path: the file.
            sets: instruction sets; the first one that runs on this processor is chosen.

        Raises:
            UserError: the file cannot be loaded, is of another version, or no set runs on this processor.
        """
        self.path = path
        """The library's file."""
        try:
            self._library = ctypes.CDLL(str(path))
            chosen = next((one for one in sets if self._has(one) and self._library.spair_runs(one.name.encode())), None)
            if chosen is None:
                names = ", ".join(one.title for one in sets)
                raise UserError(f"the backend cpu is not available: this processor runs none of {names}")
            self.instructions = chosen
            """Instruction set that was chosen."""
            self._functions = {name: self._bind(name, arguments) for name, arguments in _SIGNATURES.items()}
            self._check_structures()
        except (OSError, AttributeError) as error:
            raise UserError(
                f"cannot load the kernels of the backend cpu: {error}; delete {path}, and they are compiled again"
            ) from error
        for name in _COUNTING:
            self._functions[name].restype = _LONG
        self.lanes = self._ask("lanes_f32")
        """Number of float32 values in a vector."""
        self.zero_step = self._ask("zero_i8")
        """Number that stands for zero among the steps of int8."""
        self._groups = {"f32": 1, "i8": self._ask("group_i8"), "bf16": 2}
        narrow = np.uint8 if self.zero_step else np.int8
        self.types: dict[str, Any] = {
            "f32": np.float32,
            "i8": narrow if self._groups["i8"] == _WORD else np.int16,
            "bf16": np.uint16,
        }
        """Types of the values in memory by kind of numbers, "f32", "i8" and "bf16"."""

    def _ask(self, what: str) -> int:
        return int(getattr(self._library, f"spair_{self.instructions.name}_{what}")())

    def _has(self, one: InstructionSet) -> bool:
        """Tell whether the compiler knew an instruction set."""
        return hasattr(self._library, f"spair_{one.name}_size")

    def _bind(self, name: str, arguments: tuple[Any, ...]) -> Any:
        function = getattr(self._library, f"spair_{self.instructions.name}_{name}")
        function.argtypes, function.restype = arguments, None
        return function

    def _check_structures(self) -> None:
        size = getattr(self._library, f"spair_{self.instructions.name}_size")
        size.restype = _LONG
        for number, structure in enumerate(STRUCTURES):
            if size(number) != ctypes.sizeof(structure):
                raise OSError(f"its structure {structure.__name__} has another size")

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_functions"][name]
        except KeyError:
            raise AttributeError(f"the library has no function {name}") from None

    def call(self, name: str, pool: ThreadPool, structure: ctypes.Structure) -> int:
        """Run a function that takes a structure.

        Args:
            name: a function of the library.
            pool: threads that share the work.
            structure: its argument.
        """
        result = self._functions[name](pool.handle, ctypes.byref(structure))
        return int(result) if result is not None else 0

    def pack(self, weight: np.ndarray) -> np.ndarray:
        """Order float32 weights as the kernels read them.

        Args:
            weight: [inputs, outputs] float32.

        Returns:
            A flat array of words.
        """
        return self.pack_layer(weight[None], "f32")[0]

    def pack_layer(self, weight: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Order a layer's weights as the kernels read them.

        Args:
            weight: [taps, inputs, outputs] float32, int8, or the bits of bfloat16 as uint16.
            kind: "f32", "i8" or "bf16".

        Returns:
            A flat array of words, and what the number that stands for zero adds to the sums, [taps, outputs] int32.
        """
        taps, inputs, outputs = weight.shape
        ordered = np.ascontiguousarray(weight, {"f32": np.float32, "i8": np.int8, "bf16": np.uint16}[kind])
        wide = -(-outputs // self.lanes) * self.lanes
        packed = _zeros(max(taps * -(-inputs // self._groups[kind]) * wide, 1))
        above = np.zeros((taps, wide), np.int32)
        needed = above.ctypes.data if kind == "i8" else None
        call = Packing(ordered.ctypes.data, packed.ctypes.data, needed, taps, inputs, outputs)
        self._functions[f"pack_{kind}"](None, ctypes.byref(call))
        return packed, above

    def open_pool(self, threads: int) -> ThreadPool:
        """Start threads.

        Args:
            threads: number of threads that compute, the caller's among them, >= 1.

        Raises:
            UserError: the number is less than 1, or the system gives no more threads.
        """
        if threads < 1:
            raise UserError(f"the number of threads is {threads}, expected 1 or more")
        open_pool = self._library.spair_pool_open
        open_pool.restype, open_pool.argtypes = _POINTER, (_INT,)
        handle = open_pool(threads)
        if not handle:
            raise UserError(f"the system gives no {threads} threads; ask for fewer with --threads")
        close = self._library.spair_pool_close
        close.argtypes, close.restype = (_POINTER,), None
        return ThreadPool(handle, close)


def _zeros(count: int) -> np.ndarray:
    """Make an array that begins at a cache line.

    Vectors of weights then cross none.

    Args:
        count: words of 32 bits.
    """
    raw = np.zeros(_WORD * count + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + _WORD * count].view(np.int32)


class ThreadPool:
    """Threads that sleep until a kernel gives them work."""

    def __init__(self, handle: int, close: Any) -> None:
        self.handle = handle
        """Address of the pool in C++."""
        self._finalizer = weakref.finalize(self, close, handle)

    def close(self) -> None:
        """End the threads; may be called twice.

        No kernel may be using them.
        """
        self._finalizer()


def unavailable() -> str | None:
    """Say why the backend cpu cannot be used here.

    Returns:
        The reason, with the remedy; None where it can be used, or where only compiling the kernels will tell.
    """
    return None if find_ready() or find_compiler() else say_no_compiler()


def load_library(name: str | None = None) -> Library:
    """Load the library, compiled on first use unless installed.

    Args:
        name: instruction set to use; None takes the best one that runs on this processor.

    Raises:
        UserError: see `compile_library` and `Library`; the library belongs to another user, who could have put any code
            into it; the set is unknown or does not run here.
    """
    sets = [one for one in list_sets() if name in (None, one.name)]
    if not sets:
        known = ", ".join(one.name for one in list_sets())
        raise UserError(f"there is no instruction set {name!r} here, expected one of {known}")
    ready = find_ready()
    path = ready or compile_library()
    with _LOCK:
        if (path, name) not in _LOADED:
            for part in () if ready else (path.parent, path):  # code that was installed is as safe as this module
                check_ownership(part, part.stat())
            _LOADED[path, name] = Library(path, sets)
        return _LOADED[path, name]
