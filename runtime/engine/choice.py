"""Choice between TensorRT and the backends that run graphs."""

from __future__ import annotations

import logging

from ..backends.registry import find_backend
from ..bundle.reader import Bundle
from ..errors import UserError
from ..opening import open_network
from ..tiling.network import Network
from ..tiling.planning import PathChoice
from .opening import has_engines, open_engine_network

TENSORRT = "tensorrt"
"""Name of the backend that runs engines."""
_LOG = logging.getLogger("spair")


def open_on_backend(
    bundle: Bundle,
    backend: str,
    precision: str,
    *,
    threads: int | None = None,
    tile_path: PathChoice = "auto",
    trust_code: bool = False,
) -> tuple[Network, str]:
    """Open the network of a bundle on a backend.

    Args:
        bundle: the bundle.
        backend: "tensorrt", or a name that `find_backend` takes; "auto" takes TensorRT where an engine of the bundle
            fits this machine and is trusted, and says in the log why not.
        precision: precision of the graphs or the engine.
        threads: see `Restorer.open`.
        trust_code: run an engine though nobody has trusted it.
        tile_path: path of the pieces; engines have one path only, so "packed" and "dense" leave "auto" without them.

    Returns:
        The network, and the name of its backend.

    Raises:
        UserError: see `Restorer.open`.
        EngineError: TensorRT refuses an engine that fits.
    """
    if backend == TENSORRT:
        if tile_path != "auto":
            raise UserError(f"the tile path is {tile_path}, and engines have one path only; leave it at auto")
        return open_engine_network(bundle, precision, slots=threads, trust_code=trust_code), TENSORRT
    if backend == "auto" and tile_path == "auto" and has_engines(bundle):
        try:
            return open_engine_network(bundle, precision, slots=threads, trust_code=trust_code), TENSORRT
        except UserError as error:
            _LOG.info("no engine runs %s: %s", bundle.path, error)
    chosen = find_backend(backend)
    network = open_network(bundle, precision, chosen.open_graph, threads=threads, path=tile_path, backend=chosen.name)
    return network, chosen.name
