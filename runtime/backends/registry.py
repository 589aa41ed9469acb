"""The backends a restorer can run on: an explicit list, each with its own reason when it is not available."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UserError
from . import onnxruntime as onnx_backend


class Graph(Protocol):
    """One loaded graph; whoever opened it closes it."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """Names and ONNX types of the inputs."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays by input name -> arrays by output name."""
        ...

    def close(self) -> None:
        """Release memory and device."""
        ...


OpenGraph = Callable[[Path, int | None], Graph]


@dataclass(frozen=True)
class Backend:
    """A way to run graphs."""

    name: str
    unavailable: Callable[[], str | None]
    """Why it cannot be used on this machine; None when it can."""
    open_graph: OpenGraph
    """Loads a .onnx file with a number of threads (None: all cores)."""


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
