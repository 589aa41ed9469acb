"""Emulated GPU of this process.

The driver below it is libcuda.c; this module compiles and loads it, does its work in Python, and reads its problems.
"""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

LAZY, EAGER, RANDOM = 0, 1, 2
"""Schedules. Work runs when the program waits for it, at once, or at random; a right program always gives the same."""
USUAL = {
    "devices": 1,
    "schedule": LAZY,
    "sm": 87,
    "processors": 2,
    "integrated": 0,
    "reject_code": 0,
    "pageable": 0,
    "seed": 1,
    "memory": 8 << 30,
}
"""Variables of the driver, as every test finds them."""
KINDS = (
    "device",
    "pinned",
    "managed",
    "streams",
    "events",
    "graphs",
    "executable graphs",
    "queued work",
    "pushed contexts",
)
ILLEGAL_ADDRESS, LAUNCH_FAILED = 700, 719

Bind = Callable[[tuple[int, int, int], int, int, int, Any], Callable[[], None]]
"""Maker of a launch's work: (grid, threads, shared bytes, stream, parameters) -> function.

It reads the parameters at once; the function runs when the launch's turn comes.
"""
_RUN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64)
_BIND = ctypes.CFUNCTYPE(
    ctypes.c_uint64,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint),
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_uint64,
    ctypes.POINTER(ctypes.c_void_p),
)


def build_driver(path: Path) -> Path:
    """Compile libcuda.so.1 as `path`.

    It needs a C compiler and nothing of CUDA.
    """
    source = Path(__file__).with_name("libcuda.c")
    flags = ["-O1", "-g", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libcuda.so.1"]
    subprocess.run(["gcc", *flags, "-o", str(path), str(source), "-lpthread", "-ldl"], check=True)
    return path


class AccessError(Exception):
    """Access to memory that emulated work must not touch.

    The device is lost, as a real one would be.
    """


class EmulatedGPU:
    """Driver, its work and its problems.

    A process has one, loaded before pycuda: dlopen and the linker find a library of that name and look no further.
    """

    def __init__(self, driver: Path) -> None:
        self.cuda = ctypes.CDLL(str(driver), mode=ctypes.RTLD_GLOBAL)
        for name, kind in {
            "emu_problem": ctypes.c_char_p,
            "emu_call": ctypes.c_char_p,
            "emu_resolve": ctypes.c_void_p,
        }.items():
            getattr(self.cuda, name).restype = kind
        self.cuda.emu_resolve.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p]
        self.cuda.emu_fail.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]
        self.cuda.emu_is_capturing.argtypes = [ctypes.c_uint64]
        self.raised: list[BaseException] = []
        """Errors of emulated work; an AccessError, or a bug of the emulation."""
        self.kernels: dict[int, Bind] = {}
        """Address of a kernel's code -> what makes the work of its launches."""
        self._work: dict[int, Callable[[], None]] = {}
        self._tokens = 0
        self._callbacks = _RUN(self._run), _BIND(self._bind)
        for name, callback in zip(("emu_run", "emu_bind"), self._callbacks, strict=True):
            ctypes.c_void_p.in_dll(self.cuda, name).value = ctypes.cast(callback, ctypes.c_void_p).value
        self.set(**USUAL)

    def set(self, **values: int) -> None:
        """Set variables of the driver.

        `USUAL` lists them; `seed` is that of the random schedule.
        """
        for name, value in values.items():
            kind = ctypes.c_uint64 if name in ("memory", "seed") else ctypes.c_int
            kind.in_dll(self.cuda, f"emu_{name}").value = value

    def get(self, name: str) -> int:
        """Return a variable of the driver.

        It is one of `set`, or a count: loads, launches, memsets, performed.
        """
        return ctypes.c_int.in_dll(self.cuda, f"emu_{name}").value

    def fail(self, name: str, code: int, after: int = 0, times: int = 1) -> None:
        """Let calls of the driver fail.

        The name "work" stands for work on streams. The first `after` calls succeed, the next `times` fail with `code`.
        """
        self.cuda.emu_fail(name.encode(), after, times, code)

    @property
    def problems(self) -> list[str]:
        """Sentences about rules that were broken since the last `heal`."""
        return [self.cuda.emu_problem(index).decode() for index in range(self.cuda.emu_problems())]

    @property
    def calls(self) -> list[str]:
        """Names of the driver's functions that were called.

        They stand in order, since the last `heal`.
        """
        return [self.cuda.emu_call(index).decode() for index in range(self.cuda.emu_calls())]

    def report(self, problem: str) -> None:
        """Add a broken rule."""
        self.cuda.emu_report(problem.encode())

    def live(self) -> dict[str, int]:
        """Return the counts of living objects by kind."""
        counts = {name: self.cuda.emu_live(index) for index, name in enumerate(KINDS)}
        return {name: count for name, count in counts.items() if count}

    def heal(self) -> None:
        """Forget problems, errors and queued work, but not what lives."""
        self.cuda.emu_heal()
        self.raised.clear()

    def forget(self) -> None:
        """Bury all that lives, as in a new process."""
        self.heal()
        self.cuda.emu_forget()
        self._work.clear()

    def view(self, address: int, shape: Sequence[int], dtype: Any, what: str) -> np.ndarray:
        """Return device memory as an array, for emulated work only.

        Raises:
            AccessError: it is no device memory, was freed, or is too small.
        """
        kind = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        place = self.cuda.emu_resolve(address, size, what.encode())
        if not place:
            raise AccessError(what)
        return np.frombuffer((ctypes.c_char * size).from_address(place), kind).reshape(shape)

    def resolve(self, address: int, size: int, what: str) -> int:
        """Return the place where emulated work finds device memory.

        Raises:
            AccessError: as `view`.
        """
        place = self.cuda.emu_resolve(address, size, what.encode())
        if not place:
            raise AccessError(what)
        return int(place)

    def is_capturing(self, stream: int) -> bool:
        """Return whether a stream is captured."""
        return bool(self.cuda.emu_is_capturing(stream))

    def current_context(self) -> int | None:
        """Return the handle of the current context."""
        context = ctypes.c_void_p()
        self.cuda.cuCtxGetCurrent(ctypes.byref(context))
        return context.value

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the primary context current in this thread."""
        context = ctypes.c_void_p()
        for code in (
            self.cuda.cuInit(0),
            self.cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0),
            self.cuda.cuCtxPushCurrent_v2(context),
        ):
            assert code == 0, code
        try:
            yield
        finally:
            self.cuda.cuCtxPopCurrent_v2(None)
            self.cuda.cuDevicePrimaryCtxRelease_v2(0)

    def enqueue(
        self, stream: int, work: Callable[[], None], reads: Sequence[int] = (), writes: Sequence[int] = ()
    ) -> int:
        """Put work on a stream.

        Returns the driver's code. The work uses memory at the addresses.
        """
        token = self._keep(work)
        arrays = [(ctypes.c_uint64 * max(1, len(part)))(*part) for part in (reads, writes)]
        return int(
            self.cuda.emu_enqueue(
                ctypes.c_uint64(stream), ctypes.c_uint64(token), len(reads), arrays[0], len(writes), arrays[1]
            )
        )

    def _keep(self, work: Callable[[], None]) -> int:
        self._tokens += 1
        token = self._tokens
        self._work[token] = work
        return token

    def _run(self, token: int) -> int:
        """Do a piece of work.

        An exception must not cross C, so it is kept and the device is lost.
        """
        try:
            with np.errstate(all="ignore"):
                self._work[token]()
        except BaseException as error:
            self.raised.append(error)
            return ILLEGAL_ADDRESS if isinstance(error, AccessError) else LAUNCH_FAILED
        return 0

    def _bind(self, code: int, grid: Any, threads: int, shared: int, stream: int, parameters: Any) -> int:
        """Return the token of a launch's work.

        After an error, which is kept, it is 0.
        """
        try:
            return self._keep(self.kernels[code]((grid[0], grid[1], grid[2]), threads, shared, stream, parameters))
        except BaseException as error:
            self.raised.append(error)
            return 0


@functools.cache
def load_gpu() -> EmulatedGPU:
    """Compile the driver and return the GPU of this process.

    Raises:
        RuntimeError: the process has loaded the machine's own driver.
    """
    if "libcuda.so" in Path("/proc/self/maps").read_text(encoding="utf-8"):
        raise RuntimeError("this process has loaded the machine's own CUDA driver; run these tests in one of their own")
    with tempfile.TemporaryDirectory() as folder:
        return EmulatedGPU(build_driver(Path(folder) / "libcuda.so.1"))
