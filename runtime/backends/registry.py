"""The backends a restorer can run on: an explicit list, each with its own reason when it is not available."""

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
    """Look a backend up by name; "auto" is the first one that is available.

    Raises:
        UserError: an unknown name, or one that is not available here (with its reason).
    """
    if name == "auto":
        return next(backend for backend in BACKENDS if backend.unavailable() is None)
    backend = next((backend for backend in BACKENDS if backend.name == name), None)
    if backend is None:
        known = ", ".join(["auto", *(backend.name for backend in BACKENDS)])
        raise UserError(f"unknown backend {name!r}, expected one of {known}")
    reason = backend.unavailable()
    if reason:
        raise UserError(f"the backend {name} is not available: {reason}")
    return backend
