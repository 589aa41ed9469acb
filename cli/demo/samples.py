"""One sample of the demo: restored, measured, and timed against the whole network run densely."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...training.data.photos import RainedPhoto

if TYPE_CHECKING:
    from ...runtime import Restorer

Run = Callable[[np.ndarray], np.ndarray]
"""[H, W, 3] uint8 -> the same, restored."""


@dataclass(frozen=True)
class Lower:
    """A sample in a lower precision."""

    psnr_after: float
    """dB on luma."""
    seconds: float
    """Wall clock of the restorer, one run."""


@dataclass(frozen=True)
class SampleResult:
    """A sample and what was measured on it."""

    sample: RainedPhoto
    restored: np.ndarray
    """[H, W, 3] uint8."""
    mask: np.ndarray
    """[H, W] bool: found distorted."""
    psnr_before: float
    """dB on luma, of the picture that was given; 100 for identical pictures."""
    psnr_after: float
    """dB on luma, of the restored picture."""
    dense_seconds: float
    """Median wall clock of the whole network on the whole picture, every pixel computed."""
    adaptive_seconds: float
    """Median wall clock of the restorer: empty tiles are skipped, sparse graphs used where the bundle has them."""
    tiles: dict[str, int]
    """Tiles by path: skipped, packed, dense."""
    lower: Mapping[str, Lower] = field(default_factory=dict)
    """Precision below FP32 -> what it came to."""

    def to_json(self) -> dict[str, Any]:
        """The row of the demo's JSON."""
        height, width = self.mask.shape
        return {
            "name": self.sample.name,
            "rain": self.sample.rain,
            "width": width,
            "height": height,
            "psnr_y_before": self.psnr_before,
            "psnr_y_after": self.psnr_after,
            "density": float(self.mask.mean()),
            "dense_seconds": self.dense_seconds,
            "adaptive_seconds": self.adaptive_seconds,
            "speedup": self.dense_seconds / self.adaptive_seconds,
            "tiles": self.tiles,
            "precisions": {name: {"psnr_y_after": one.psnr_after, "seconds": one.seconds}
                           for name, one in self.lower.items()},
        }  # fmt: skip


def try_sample(
    sample: RainedPhoto, restorer: Restorer, dense: Run, repeat: int, lower: Mapping[str, Restorer] | None = None
) -> SampleResult:
    """Restore both ways, check that they agree, then time them in turn, `repeat` times each.

    Args:
        sample: the picture.
        restorer: in FP32.
        dense: the whole network, every pixel computed.
        repeat: timed runs.
        lower: restorers in lower precisions, timed once, in the first turn.

    Raises:
        GateError: the two ways gave different pictures; nothing was timed.
    """
    from ...runtime.profiling.gates import check_baseline
    from ...training.evaluation.metrics import luma, psnr

    result = restorer(sample.degraded)
    assert result.mask is not None
    check_baseline(f"{sample.name} in {sample.rain} rain", result.image, dense(sample.degraded))
    others = {name: _picture_of(one) for name, one in (lower or {}).items()}
    images = {name: run(sample.degraded) for name, run in others.items()}
    ways = {"dense": dense, "adaptive": _picture_of(restorer), **others}
    seconds = _time(sample.degraded, ways, repeat, once=others)
    clean = luma(sample.clean / np.float32(255))

    def measure(picture: np.ndarray) -> float:
        return psnr(luma(picture / np.float32(255)), clean)

    counts = result.tiles
    return SampleResult(
        sample=sample,
        restored=result.image,
        mask=result.mask,
        psnr_before=measure(sample.degraded),
        psnr_after=measure(result.image),
        dense_seconds=seconds["dense"],
        adaptive_seconds=seconds["adaptive"],
        tiles={"skipped": counts.skipped, "packed": counts.packed, "dense": counts.dense},
        lower={name: Lower(measure(image), seconds[name]) for name, image in images.items()},
    )


def _picture_of(restorer: Restorer) -> Run:
    return lambda image: restorer(image).image


def _time(image: np.ndarray, ways: Mapping[str, Run], repeat: int, once: Collection[str] = ()) -> dict[str, float]:
    """Way -> median seconds, taking turns, so that a busy moment of the machine hits all; `once`: in one turn only."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeat):
        for name, run in ways.items():
            if turn and name in once:
                continue
            start = time.perf_counter()
            run(image)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
