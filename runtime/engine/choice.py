"""Choice of the backend that runs a bundle."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ..backends.registry import find_backend
from ..bundle.reader import Bundle
from ..cpu.choice import refuse_kernels
from ..cpu.comparison import RowProgramError
from ..cpu.opening import BACKEND as CPU
from ..cpu.opening import open_cpu_network
from ..errors import UserError
from ..opening import open_network
from ..tiling.network import Network
from ..tiling.planning import PathChoice
from .opening import has_engines, open_engine_network

TENSORRT = "tensorrt"
"""Name of the backend that runs engines."""
_LOG = logging.getLogger("spair")


class Opened(NamedTuple):
    """Network that a backend runs."""

    network: Network
    backend: str
    """Name of the backend."""
    remark: str | None = None
    """Why ONNX Runtime was taken where the choice was left open and the backend cpu comes first."""


def open_on_backend(
    bundle: Bundle,
    backend: str,
    precision: str,
    *,
    threads: int | None = None,
    tile_path: PathChoice = "auto",
    trust_code: bool = False,
) -> Opened:
    """Open the network of a bundle on a backend.

    Args:
        bundle: the bundle.
        backend: "tensorrt", "cpu", or a name that `find_backend` takes; "auto" takes TensorRT where an engine of the
            bundle fits this machine and is trusted, and says in the log why not; else the kernels of the backend cpu
            where they give the same picture sooner, else ONNX Runtime.
        precision: precision of the graphs or the engine.
        threads: see `Restorer.open`.
        trust_code: run an engine though nobody has trusted it.
        tile_path: path of the pieces; engines have one path only, so "packed" and "dense" leave "auto" without them.

    Raises:
        UserError: see `Restorer.open`.
        EngineError: TensorRT refuses an engine that fits.
    """
    if backend == TENSORRT:
        if tile_path != "auto":
            raise UserError(f"the tile path is {tile_path}, and engines have one path only; leave it at auto")
        return Opened(open_engine_network(bundle, precision, slots=threads, trust_code=trust_code), TENSORRT)
    if backend == "auto" and tile_path == "auto" and has_engines(bundle):
        try:
            return Opened(open_engine_network(bundle, precision, slots=threads, trust_code=trust_code), TENSORRT)
        except UserError as error:
            _LOG.info("no engine runs %s: %s", bundle.path, error)
    if backend == CPU:
        return Opened(open_cpu_network(bundle, precision, threads=threads, path=tile_path), CPU)
    remark = None
    if backend == "auto":
        found = _open_kernels(bundle, precision, threads, tile_path)
        if isinstance(found, Opened):
            return found
        remark = found
    chosen = find_backend(backend)
    network = open_network(bundle, precision, chosen.open_graph, threads=threads, path=tile_path, backend=chosen.name)
    return Opened(network, chosen.name, remark)


def _open_kernels(bundle: Bundle, precision: str, threads: int | None, path: PathChoice) -> Opened | str:
    """Open a bundle on the kernels, or say why not.

    A row program that differs from the graphs is no reason to refuse the graphs.
    """
    reason = refuse_kernels(bundle, precision, threads=threads, path=path)
    if reason is None:
        try:
            return Opened(open_cpu_network(bundle, precision, threads=threads, path=path), CPU)
        except RowProgramError as error:
            reason = str(error)
    _LOG.info("ONNX Runtime runs %s: %s", bundle.path, reason)
    return reason
