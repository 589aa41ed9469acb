"""Protocols of a loaded graph and of a backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


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
