"""Times of dense layers, from cuDNN's on another GPU.

There are two ways to carry over how fast it multiplied: at the same share of the GPU's nominal peaks, or with as many
multiply-adds in a cycle of a multiprocessor, since small layers may not fill the tensor cores of a larger GPU. They
agree on the GPU that was measured, and no other was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.subjects.gpus import Gpu
from spair.plugins.cost import Launch, NumberType

UNMEASURED: dict[NumberType, NumberType] = {"int8": "fp16"}
"""Types of dense layers that did not run, with the type whose number is taken."""


@dataclass(frozen=True)
class PeakShares:
    """Least times of layers, at a share of the peaks."""

    launch: float
    """Seconds of a launch."""
    numbers: Mapping[NumberType, float]
    """Share of the peaks of each type, 0 to 1."""

    def seconds(self, gpu: Gpu, launches: Sequence[Launch]) -> float:
        """Estimate the time of layers."""
        return sum(
            self.launch + gpu.seconds(one.bytes, one.products, one.kind) / self.numbers[one.kind] for one in launches
        )


@dataclass(frozen=True)
class CycleRates:
    """Multiply-adds in a cycle of a multiprocessor.

    Bytes take the nominal bandwidth. INT8 has twice the rate of FP16, as on the tensor cores. No rate is above the
    GPU's own peak.
    """

    launch: float
    """Seconds of a launch."""
    numbers: Mapping[NumberType, float]
    """Multiply-adds of each type."""

    def seconds(self, gpu: Gpu, launches: Sequence[Launch]) -> float:
        """Estimate the time of layers."""
        return sum(self.launch + self._one(gpu, one) for one in launches)

    def _one(self, gpu: Gpu, launch: Launch) -> float:
        rate = self.numbers[launch.kind] * (2 if launch.kind in UNMEASURED else 1)
        cycles = max(launch.products / rate, gpu.cycles_of_products(launch.products, launch.kind))
        return max(launch.bytes / (gpu.bandwidth * 1e9), cycles / (gpu.multiprocessors * gpu.clock * 1e9))


DenseModel = PeakShares | CycleRates
