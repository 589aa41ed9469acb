"""Dense peers that take turns with the restorer."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.common.measuring import Run, print_progress
from benchmarks.peers.graphs import DENSE_PEERS, MASKLESS, ROUNDED, Compute
from benchmarks.peers.install import PeerAbsentError
from benchmarks.subjects.network import OpenedNetwork, check_dense, check_maskless, check_rounded, run_with
from spair.runtime import GateError


def open_versus(
    network: OpenedNetwork, image: np.ndarray, names: Sequence[str], stack: contextlib.ExitStack
) -> dict[str, Run]:
    """Open dense peers for pictures of one size.

    What they do does not depend on masks. One that is absent or wrong is left out, with a line on stderr; the report on
    the peers alone repeats it.
    """
    runs: dict[str, Run] = {}
    for name in names:
        try:
            compute = stack.enter_context(DENSE_PEERS[name](network.workload(image)))
            check_peer(network, name, compute, image)
        except (PeerAbsentError, GateError) as reason:
            print_progress(f"{network.preset}: no {name}: {reason}")
            continue
        runs[name] = partial(run_with(compute), image)
    return runs


def check_peer(network: OpenedNetwork, name: str, compute: Compute, image: np.ndarray) -> float:
    """Hold a dense peer to PyTorch, and return its error.

    Raises:
        GateError: it differs by more than its kind may.
    """
    if name in MASKLESS:
        return check_maskless(network, name, DENSE_PEERS[name])
    return (check_rounded if name in ROUNDED else check_dense)(network, name, compute, image)
