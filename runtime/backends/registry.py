"""List of the backends that a restorer can run on.

A backend that is not available on a machine says why.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..errors import UserError
from . import onnxruntime as onnx_backend
from .base import Backend, Graph


def _open_cpu(path: Path, threads: int | None) -> Graph:
    return onnx_backend.OnnxGraph(path, threads=threads, device="cpu")


def _open_cuda(path: Path, threads: int | None) -> Graph:
    return onnx_backend.OnnxGraph(path, threads=threads, device="cuda")


BACKENDS = (
    Backend("onnxruntime", partial(onnx_backend.unavailable, "cpu"), _open_cpu),
    Backend("cuda", partial(onnx_backend.unavailable, "cuda"), _open_cuda),
)


def find_backend(name: str) -> Backend:
    """Find a backend by its name.

    Args:
        name: a name of `BACKENDS`; "auto" takes the first backend that is available.

    Raises:
        UserError: the name is unknown, or the backend is not available here; the message says why.
    """
    if name == "auto":  # the first one says why, where none is available
        name = next((backend.name for backend in BACKENDS if backend.unavailable() is None), BACKENDS[0].name)
    backend = next((backend for backend in BACKENDS if backend.name == name), None)
    if backend is None:
        known = ", ".join(["auto", "tensorrt", "cpu", *(backend.name for backend in BACKENDS)])
        raise UserError(f"unknown backend {name!r}, expected one of {known}")
    reason = backend.unavailable()
    if reason:
        raise UserError(f"the backend {name} is not available: {reason}")
    return backend
