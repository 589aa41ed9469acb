"""Cost of models beside their quality."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....runtime.tiling.context import mask_pyramid
from ....runtime.tiling.spec import SpairNetwork

if TYPE_CHECKING:
    from ....runtime import Restorer
    from ....runtime.restorer import Result

Clocks = Sequence[Callable[[], float]]
CLOCKS: Clocks = (time.perf_counter, time.process_time)
"""Seconds of the day, and of all threads on the processor."""

_ON_GPU = ("cuda", "tensorrt")
"""Backends whose work the processor does not do."""


class Meter:
    """Restorer that measures what its pictures cost."""

    def __init__(self, restorer: Restorer, threshold: float | None = None, clocks: Clocks = CLOCKS) -> None:
        """Take over a restorer.

        Args:
            restorer: restores the pictures.
            threshold: threshold of the mask; None for the restorer's own.
            clocks: give seconds.
        """
        self._restorer, self._clocks, self._threshold = restorer, clocks, threshold
        self.scale = restorer.scale
        self.seconds: list[list[float]] = []
        """For each picture, the seconds of each clock."""
        self.shares: list[float] = []
        """For each picture, the share of Net_R's multiply-adds that its mask asks for; 1 without a mask."""
        self.flips = restorer.flips
        """Number of mirrored pictures that each is restored as."""

    def __call__(self, image: np.ndarray) -> Result:
        """Restore one picture."""
        begin = [clock() for clock in self._clocks]
        result = self._restorer(image, threshold=self._threshold)
        self.seconds.append([clock() - start for clock, start in zip(self._clocks, begin, strict=True)])
        self.shares.append(1.0 if result.mask is None else self._find_share(result.mask))
        return result

    def time(self, mean: Callable[[list[float]], float]) -> dict[str, float | None]:
        """Return the milliseconds of a picture.

        "ms" are those by the clock, "processor_ms" those that all threads computed, None on a GPU.
        """
        passed, computed = (1000.0 * mean(list(one)) for one in zip(*self.seconds, strict=True))
        return {"ms": passed, "processor_ms": None if self._restorer.backend in _ON_GPU else computed}

    def _find_share(self, mask: np.ndarray) -> float:
        spec = self._restorer.network.spec
        if not isinstance(spec, SpairNetwork):  # a served graph does not say
            return float(mask.mean())
        height, width = mask.shape
        rest = [(0, -height % spec.multiple), (0, -width % spec.multiple)]
        masks = mask_pyramid(np.pad(mask, rest, mode="edge"), max(spec.scales))
        return sum(work * float(masks[scale].mean()) for scale, work in zip(spec.scales, spec.work, strict=True))


def describe_cost(size: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Describe what a model costs.

    Args:
        size: result of `export.cost.measure_model`.
        meter: has restored the pictures.

    Returns:
        "parameters"; "multiply_adds" for a pixel at the masks that were found, means over pictures;
        "multiply_adds_dense", those where every pixel is distorted; both times the number of mirrored pictures; and the
        times of `Meter.time`, medians over pictures, because the first run begins cold. What is not known is None.
    """
    dense, clean = size["multiply_adds"], size["multiply_adds_clean"]
    known = dense is not None and clean is not None
    found = clean + (dense - clean) * statistics.mean(meter.shares) if known else None
    return {
        "parameters": size["parameters"],
        "multiply_adds": None if found is None else meter.flips * found,
        "multiply_adds_dense": None if dense is None else meter.flips * dense,
        **meter.time(statistics.median),
    }
