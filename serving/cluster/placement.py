"""Number of actors that a cluster has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...runtime.errors import UserError

CPU_SHARE = 0.5
"""Share of an actor's threads that it claims of Ray as CPUs. Actors that claim all CPUs leave none for other tasks, nor
for the actors of a lost node, and such a run can wait for ever."""


@dataclass(frozen=True)
class Node:
    """Machine of a cluster that is alive."""

    cpus: float
    """Logical CPUs that Ray may use there."""
    gpus: float = 0.0


@dataclass(frozen=True)
class Placement:
    """Actors of a run, which Ray spreads over the nodes."""

    nodes: int
    """Number of nodes with the needed processors, at most one for each actor."""
    actors: int
    cpus: float
    """Logical CPUs that an actor claims; a fraction, see `CPU_SHARE`."""
    gpus: float
    """GPUs that an actor claims."""


def place_actors(
    nodes: Sequence[Node], *, pictures: int, threads: int | None, actors: int | None, on_gpu: bool
) -> Placement:
    """Choose how many actors there are, and what each claims.

    A node gets as many as its CPUs hold with `threads` each, at least one; one for each GPU if they run there. Nodes
    without the needed processors get none.

    Args:
        nodes: nodes of the cluster.
        pictures: number of pictures; there are no more actors than that.
        threads: CPU threads of an actor; None for all cores of a node.
        actors: number of actors that is wished; None for as many as fit.
        on_gpu: whether each actor needs a GPU.

    Raises:
        UserError: no node has the processors.
    """
    able = [node for node in nodes if node.cpus >= 1 and (node.gpus >= 1 or not on_gpu)]
    if not able:
        needed = "GPU" if on_gpu else "CPU"
        raise UserError(f"the cluster has {len(nodes)} nodes and no {needed} for an actor; start nodes that have one")
    room = sum(_count_room(node, threads, on_gpu) for node in able)
    count = max(1, min(pictures, room if actors is None else actors))
    least = min(node.cpus for node in able)
    busy = least if threads is None else min(threads, least)
    return Placement(min(len(able), count), count, CPU_SHARE * busy, 1.0 if on_gpu else 0.0)


def _count_room(node: Node, threads: int | None, on_gpu: bool) -> int:
    if on_gpu:
        return int(node.gpus)
    return 1 if threads is None else max(1, int(node.cpus // threads))
