"""One sample of the demo: restored, measured, and timed against the whole network run densely."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .photos import Sample

if TYPE_CHECKING:
    from ..runtime import Restorer

Run = Callable[[np.ndarray], np.ndarray]
"""[H, W, 3] uint8 -> the same, restored."""


@dataclass(frozen=True)
class Trial:
    """A sample and what was measured on it."""

    sample: Sample
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
        }


def try_sample(sample: Sample, restorer: Restorer, dense: Run, repeat: int) -> Trial:
    """Restore both ways, check that they agree, then time them in turn, `repeat` times each.

    Raises:
        GateError: the two ways gave different pictures; nothing was timed.
    """
    from ..runtime.ways import check_baseline
    from ..training.metrics import luma, psnr

    result = restorer(sample.degraded)
    assert result.mask is not None
    check_baseline(f"{sample.name} in {sample.rain} rain", result.image, dense(sample.degraded))
    dense_seconds, adaptive_seconds = _time(sample.degraded, dense, lambda image: restorer(image).image, repeat)
    before, after, clean = (
        luma(picture / np.float32(255)) for picture in (sample.degraded, result.image, sample.clean)
    )
    counts = result.tiles
    return Trial(
        sample=sample,
        restored=result.image,
        mask=result.mask,
        psnr_before=psnr(before, clean),
        psnr_after=psnr(after, clean),
        dense_seconds=dense_seconds,
        adaptive_seconds=adaptive_seconds,
        tiles={"skipped": counts.skipped, "packed": counts.packed, "dense": counts.dense},
    )


def _time(image: np.ndarray, dense: Run, adaptive: Run, repeat: int) -> tuple[float, float]:
    """Median seconds of both, taking turns, so that a busy moment of the machine hits both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeat):
        for run, times in zip((dense, adaptive), seconds, strict=True):
            start = time.perf_counter()
            run(image)
            times.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])
