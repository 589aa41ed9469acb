"""Settings, masks, thresholds and baseline of a profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..backends.onnxruntime import OnnxGraph
from ..bundle.reader import DERIVED_FROM, Bundle
from ..cpu.comparison import FLIPPED, TOLERANCES
from ..errors import UserError
from ..pixels import from_network, to_network
from ..restorer import Restorer
from ..tiling.planning import PathChoice
from .gates import DIFFERING
from .masks import make_mask

Run = Callable[[np.ndarray], np.ndarray]
"""Function that takes a picture like `Restorer` does, and returns the restored picture."""

TOLERANCE = 1e-4
"""Largest difference allowed in fp32 between two methods, as a share of full scale; sums have different orders."""

COARSE_TOLERANCE = 2 / 255
"""Largest difference allowed in fp16 and int8: two 8-bit steps, because rounding depends on the order of sums."""

_LARGEST_VALUE = 1.0
"""Largest value of a picture, to which `TOLERANCES` are relative."""


@dataclass(frozen=True)
class RunSetting:
    """Settings with which a bundle is run."""

    precision: str = "fp32"
    threads: int | None = None
    """Number of threads inside an operator; None takes all cores."""
    tile: int | None = None
    """Largest side of a piece in pixels; None takes the default of `Restorer`."""
    backend: str = "onnxruntime"
    """Backend of the restorer, "onnxruntime" or "cpu"; the path "dense" is ONNX Runtime's in either case."""

    @property
    def tolerance(self) -> float:
        """Largest difference allowed, as a share of full scale."""
        if self.precision in DERIVED_FROM:
            return (1.0 + _LARGEST_VALUE) * TOLERANCES[self.precision]
        return TOLERANCE if self.precision == "fp32" else COARSE_TOLERANCE

    @property
    def differing(self) -> float:
        """Share of samples that may differ under found masks."""
        return FLIPPED[1] if self.precision in DERIVED_FROM else DIFFERING

    @property
    def graphs(self) -> str:
        """Precision of the graphs that give dense results.

        Derived precisions have no graphs of their own.
        """
        return DERIVED_FROM.get(self.precision, self.precision)

    def open_restorer(self, bundle: Bundle, tile_path: PathChoice = "auto") -> Restorer:
        """Open a bundle on the CPU, see `Restorer.open`."""
        return Restorer.open(
            bundle.path,
            backend="onnxruntime" if tile_path == "dense" else self.backend,
            precision=self.graphs if tile_path == "dense" else self.precision,
            threads=self.threads,
            tile=self.tile,
            tile_path=tile_path,
        )


def is_gated(bundle: Bundle) -> bool:
    """Tell whether restored pictures keep the input's clean pixels."""
    return bundle.manifest.network.gate_output


@contextmanager
def open_baseline(bundle: Bundle, setting: RunSetting) -> Iterator[Run]:
    """Open the baseline, which computes every pixel in one piece.

    It is the bundle's graph of the whole network, as other programs compute it.

    Raises:
        UserError: the bundle has no such graph.
    """
    gated = is_gated(bundle)
    file = bundle.graph(setting.graphs, "model")
    with OnnxGraph(file, threads=setting.threads, as_written=True) as graph:

        def run(image: np.ndarray) -> np.ndarray:
            outputs = graph.run({"image": to_network(image, 1)})
            return from_network(image, outputs["restored"][0], outputs["mask"][0, 0] > 0.5 if gated else None)

        yield run


@dataclass(frozen=True)
class Case:
    """Generated mask with the request that it answers."""

    shape: str
    """Name of a shape, see `make_mask`."""
    density: float
    """Share of distorted pixels that was asked for, 0..1."""
    mask: np.ndarray
    """[H, W] bool, True at distorted pixels."""

    def __str__(self) -> str:
        return f"{self.shape} {self.density:g}"

    @property
    def key(self) -> tuple[str, float]:
        """Name of the mask, shape and density.

        Masks of the same name are equal: a mask without or with only distorted pixels has no shape.
        """
        shapeless = self.mask.all() or not self.mask.any()
        return ("" if shapeless else self.shape, self.density)


def make_cases(shapes: Sequence[str], densities: Sequence[float], height: int, width: int) -> list[Case]:
    """Make a mask of every shape at every density.

    They come by shape, then by density. The masks are equal in every call.

    Raises:
        UserError: see `make_mask`.
    """
    return [
        Case(shape, density, make_mask(shape, height, width, density, seed=7))
        for shape in shapes
        for density in densities
    ]


@dataclass(frozen=True)
class Place:
    """Key of the runs at one threshold of the mask."""

    threshold: float

    def __str__(self) -> str:
        return f"threshold {self.threshold:g}"


class Score(NamedTuple):
    """PSNR of a restored picture."""

    measure: str
    """Key of the PSNR that the tables of the task print, such as "psnr_y"."""
    psnr: float
    """In dB."""


@dataclass(frozen=True)
class Dial:
    """Thresholds of the mask that are timed besides."""

    thresholds: tuple[float, ...]
    """Probabilities from 0 to 1; that of the network is added."""
    clean: np.ndarray | None = None
    """Clean picture [H, W, C], of the size of the restored one; None where it is not known."""
    measure: Callable[[np.ndarray, np.ndarray, str], Score] | None = None
    """Scores a restored picture against the clean one, for a task; given with `clean`."""

    def score(self, restored: np.ndarray, task: str) -> Score | None:
        """Score a restored picture.

        None where the clean one is not known.
        """
        return None if self.clean is None or self.measure is None else self.measure(restored, self.clean, task)


def check_dial(bundle: Bundle, settings: Sequence[RunSetting], dial: Dial | None) -> None:
    """Refuse thresholds that a bundle does not take.

    Raises:
        UserError: its graphs hold their own.
    """
    for setting in settings if dial is not None else ():
        with setting.open_restorer(bundle) as restorer:
            try:
                list_places(restorer, dial)
            except UserError as error:
                raise UserError(
                    f"the graphs of {bundle.path} hold their threshold inside, so that --thresholds cannot choose "
                    "others; leave it out, or export the bundle again"
                ) from error


def list_places(restorer: Restorer, dial: Dial | None) -> list[Place]:
    """List the thresholds that are timed, in ascending order.

    Raises:
        UserError: see `Restorer.choose_threshold`.
    """
    wanted = set() if dial is None else set(dial.thresholds)
    for threshold in wanted:
        restorer.choose_threshold(threshold)
    own = {restorer.threshold} if wanted and restorer.threshold is not None else set()
    return [Place(one) for one in sorted(wanted | own)]
