"""Named ranges on the time line of Nsight Systems."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ..errors import UserError

LIBRARIES = ("libnvToolsExt.so.1", "libnvtx3interop.so.1")
"""Libraries with the functions of NVTX; CUDA has the first up to 12, and the second from 13 on."""
Annotate = Callable[[str], AbstractContextManager[None]]
"""Function that names what happens in a `with` block."""


def open_ranges() -> Annotate:
    """Find the functions of NVTX.

    They are in the package nvtx or in a library of CUDA.

    Without Nsight Systems around the process, the ranges go nowhere.

    Raises:
        UserError: neither is installed.
    """
    push_pop = _find_package() or _find_library()
    if push_pop is None:
        raise UserError(
            f"--nsys needs NVTX, but neither the package nvtx nor {' nor '.join(LIBRARIES)} is here; pip install nvtx"
        )
    push, pop = push_pop

    @contextmanager
    def annotate(name: str) -> Iterator[None]:
        push(name)
        try:
            yield
        finally:
            pop()

    return annotate


PushPop = tuple[Callable[[str], object], Callable[[], object]]
"""Functions that begin and end a range of the calling thread."""


def _find_package() -> PushPop | None:
    try:
        module = importlib.import_module("nvtx")
    except ImportError:
        return None
    return module.push_range, module.pop_range


def _find_library() -> PushPop | None:
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            return _make_push(library.nvtxRangePushA), library.nvtxRangePop
        except (OSError, AttributeError):  # absent, or another one of that name
            continue
    return None


def _make_push(function: Callable[[bytes], object]) -> Callable[[str], object]:
    return lambda name: function(name.encode())
