"""Protocols of a loaded graph and of a backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


class Graph(Protocol):
    """Loaded graph, which belongs to the caller that opened it."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """ONNX types of the inputs by name."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph.

        Args:
            feeds: arrays by input name.

        Returns:
            Arrays by output name.
        """
        ...

    def close(self) -> None:
        """Release memory and device; may be called twice."""
        ...


OpenGraph = Callable[[Path, int | None], Graph]
"""Function that loads a .onnx file with a number of threads; None takes all cores."""


@dataclass(frozen=True)
class Backend:
    """Library and device that run graphs."""

    name: str
    unavailable: Callable[[], str | None]
    """Function that says why the backend cannot be used on this machine; it returns None if it can."""
    open_graph: OpenGraph
    """Function that loads a graph."""
