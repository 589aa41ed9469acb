"""Connection to a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...runtime.errors import UserError
from .placement import Node

ANSWER_SECONDS = 5.0
"""Seconds within which a cluster's port must answer; Ray itself would try for two minutes."""


def load_ray() -> Any:
    """Import Ray with its data sets.

    Raises:
        UserError: it is not installed; the message names the extra.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its makers unless told not to
    try:
        import ray.data
    except ImportError as error:
        raise UserError(
            f"--ray needs the Python package ray, which cannot be imported ({error}); "
            "install it here and on every node: pip install 'spair-rt[ray]'"
        ) from error
    return ray


@contextmanager
def connect(address: str) -> Iterator[Any]:
    """Connect to a cluster, and disconnect in the end.

    A connection that this process has already is used and stays. Actors of a connection that ends are stopped.

    Args:
        address: "auto", "local" or HOST:PORT.

    Yields:
        The package `ray`.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield ray
        return
    local = {"include_dashboard": False} if address == "local" else {}
    try:
        if ":" in address:
            _reach(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"no Ray cluster answers at {address} ({reason}); start one with ray start --head, or give --ray local"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Open and close a connection to `HOST:PORT`.

    Raises:
        OSError: nobody listens there.
    """
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()


def list_nodes(ray: Any) -> list[Node]:
    """List the nodes that are alive."""
    return [
        Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    ]
