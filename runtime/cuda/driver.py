"""Choice of the package that calls the CUDA driver."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from typing import Any

from ..errors import UserError
from .errors import CudaError
from .over_bindings import BindingsDriver
from .over_pycuda import PycudaDriver
from .protocol import Cuda

PACKAGES: dict[str, Callable[[], Any]] = {"pycuda": PycudaDriver, "cuda.bindings": BindingsDriver}
"""Implementations by the package that they need; the first one that is installed is taken."""
_INSTALL = "pip install 'spair-rt[tensorrt]', or where pycuda does not build: pip install cuda-bindings"

_opened: dict[str, Cuda] = {}
_lock = threading.Lock()


def unavailable() -> str | None:
    """Say why the CUDA driver cannot be called.

    None if it can.
    """
    if any(map(_is_installed, PACKAGES)):
        return None
    return f"neither {' nor '.join(PACKAGES)} is installed; {_INSTALL}"


def open_cuda(package: str | None = None) -> Cuda:
    """Return the process's driver.

    There is one for each package, which stays open until the process ends, as its context does.

    Args:
        package: one of `PACKAGES`; None takes the first that is installed.

    Raises:
        UserError: none is installed, or the machine has no GPU that works.
    """
    chosen = package or next(filter(_is_installed, PACKAGES), None)
    if chosen is None or not _is_installed(chosen):
        reason = unavailable() or f"{chosen} is not installed; {_INSTALL}"
        raise UserError(f"cannot use the GPU: {reason}")
    with _lock:
        if chosen not in _opened:
            try:
                _opened[chosen] = PACKAGES[chosen]()
            except (CudaError, ImportError) as error:  # ImportError: the driver's library is missing
                raise UserError(
                    f"cannot use the GPU through {chosen}: {error}; `spair doctor` says what is missing"
                ) from error
        return _opened[chosen]


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:  # the outer package is missing
        return False
