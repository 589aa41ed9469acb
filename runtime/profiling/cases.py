"""The ways a bundle can restore a picture, the masks they are compared on, and the gates that come before times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..backends.onnxruntime import OnnxGraph
from ..bundle.reader import Bundle
from ..pixels import from_network, to_network
from ..restorer import Restorer
from ..tiling.planning import PathChoice
from .masks import make_mask

Run = Callable[[np.ndarray], np.ndarray]
"""A picture as `Restorer` takes it -> the same, restored."""

TOLERANCE = 1e-4
"""Largest difference in fp32 between two ways, of full scale: sums in another order."""

COARSE_TOLERANCE = 2 / 255
"""The same in fp16 and int8, whose own rounding is a part of the order of sums: two steps of 8 bits."""


@dataclass(frozen=True)
class RunSetting:
    """How a bundle is run."""

    precision: str = "fp32"
    threads: int | None = None
    """Threads inside an operator; None: all cores."""
    tile: int | None = None
    """Largest side of a piece in pixels; None: see `Restorer`."""

    @property
    def tolerance(self) -> float:
        """Largest difference between two ways, of full scale."""
        return TOLERANCE if self.precision == "fp32" else COARSE_TOLERANCE

    def open_restorer(self, bundle: Bundle, tile_path: PathChoice = "auto") -> Restorer:
        """Open the bundle on the CPU; see `Restorer.open`."""
        return Restorer.open(
            bundle.path,
            backend="onnxruntime",
            precision=self.precision,
            threads=self.threads,
            tile=self.tile,
            tile_path=tile_path,
        )


def is_gated(bundle: Bundle) -> bool:
    """Tell whether restored pictures keep the clean pixels of the input."""
    return bundle.manifest.network.gate_output


@contextmanager
def open_baseline(bundle: Bundle, setting: RunSetting) -> Iterator[Run]:
    """The dense baseline: the bundle's graph of the whole network, in one piece, every pixel computed.

    Raises:
        UserError: the bundle has no such graph.
    """
    gated = is_gated(bundle)
    with OnnxGraph(bundle.graph(setting.precision, "model"), threads=setting.threads) as graph:

        def run(image: np.ndarray) -> np.ndarray:
            outputs = graph.run({"image": to_network(image, 1)})
            return from_network(image, outputs["restored"][0], outputs["mask"][0, 0] > 0.5 if gated else None)

        yield run


@dataclass(frozen=True)
class Case:
    """A made mask."""

    shape: str
    """See `make_mask`."""
    density: float
    """Share of distorted pixels that was asked for, 0..1."""
    mask: np.ndarray
    """[H, W] bool."""

    def __str__(self) -> str:
        return f"{self.shape} {self.density:g}"

    @property
    def key(self) -> tuple[str, float]:
        """What is measured under this name; masks without a shape (nothing or everything distorted) share it."""
        shapeless = self.mask.all() or not self.mask.any()
        return ("" if shapeless else self.shape, self.density)


def make_cases(shapes: Sequence[str], densities: Sequence[float], height: int, width: int) -> list[Case]:
    """Every shape at every density, in this order; the same every time.

    Raises:
        UserError: see `make_mask`.
    """
    return [
        Case(shape, density, make_mask(shape, height, width, density, seed=7))
        for shape in shapes
        for density in densities
    ]
