"""Servers that the same clients talk to, each with what its answers have to be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from spair.export.served.file import write_served_graph
from spair.runtime import Restorer
from tests.serving.process import served

Answer = tuple[np.ndarray, np.ndarray, float]
"""Restored picture of the input's shape and type, mask [H, W] of 0 and 1, and density."""
THREADS = 1
"""Threads of servers and references alike, so that sums are made in the same order."""


@dataclass(frozen=True)
class Target:
    """A server that is ready."""

    name: str
    """Name of the model; NAME_bytes takes picture files."""
    http_address: str
    """HOST:PORT."""
    grpc_address: str
    """HOST:PORT."""
    reference: Callable[[np.ndarray], Answer]
    """Answer to one picture [H, W, C], computed in this process."""
    kind: str
    """"spair" or "triton", where they differ."""
    full: Model | None = None
    """Model beside it that finds every pixel distorted; None where the server has one model."""


@dataclass(frozen=True)
class Model:
    """Model of a server."""

    name: str
    reference: Callable[[np.ndarray], Answer]
    """See `Target`."""


def make_reference(restorer: Restorer) -> Callable[[np.ndarray], Answer]:
    """Make the reference of a target from a restorer of what it serves."""

    def restore(picture: np.ndarray) -> Answer:
        result = restorer(picture)
        mask = np.ones(picture.shape[:2], bool) if result.mask is None else result.mask
        return result.image, mask.astype(np.uint8), result.density

    return restore


@contextlib.contextmanager
def open_spair(model: Path, full: Path) -> Iterator[Target]:
    """Serve two bundles, or the served graphs of them, with `spair serve`."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    options = ("--threads", str(THREADS), "--timeout", "120")
    with (
        Restorer.open(model, threads=THREADS) as restorer,
        Restorer.open(full, threads=THREADS) as other,
        served(model, f"full={full}", *options, environment=environment) as server,
    ):
        beside = Model("full", make_reference(other))
        yield Target(model.stem, server.http, server.grpc, make_reference(restorer), "spair", beside)


def write_graph(bundle: Path, folder: Path) -> Path:
    """Write the served graph of a bundle into a folder."""
    path = folder / f"{bundle.stem}.onnx"
    write_served_graph(bundle, path)
    return path


@contextlib.contextmanager
def open_triton(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Take the real Triton that `triton_server` runs on the served graph of the bundle."""
    server = request.getfixturevalue("triton_server")
    with Restorer.open(server.graph, threads=THREADS) as restorer:
        yield Target(server.name, server.http_address, server.grpc_address, make_reference(restorer), "triton")
