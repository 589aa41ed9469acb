"""From what a layer reads to the range that int8 spans: a histogram, and four ways of cutting its tail."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector

from ..conversion.weights import LEVELS, half_scale
from ..options import Calibrator

BINS = 2048
CANDIDATES = 160
"""Ranges that the search for the least square error tries, up to the largest value."""
_NAME = "x"


class Histogram:
    """Magnitudes of an activation over many tiles, in BINS bins from 0 on.

    The range doubles, merging pairs of bins, when something larger comes: ONNX Runtime's collector, whose search for
    percentile and entropy is used below, appends bins instead, without bound where the first tile is almost black.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        """Values per bin."""
        self.top = 0.0
        """Upper end of the last bin; 0 as long as nothing but zeros was seen."""
        self.largest = 0.0
        """Largest magnitude; 0 where nothing was seen."""

    @property
    def count(self) -> int:
        """Values seen."""
        return int(self.counts.sum())

    @property
    def edges(self) -> np.ndarray:
        """[BINS + 1] float32: magnitudes between the bins."""
        return np.linspace(0.0, self.top, BINS + 1, dtype=np.float32)

    def add(self, values: np.ndarray) -> None:
        """Take in finite values [n] float32; none are no news."""
        if values.size == 0:
            return
        magnitudes = np.abs(values)
        largest = float(magnitudes.max())
        self.largest = max(self.largest, largest)
        if largest > 0.0 and self.top == 0.0:
            self.top = largest
        while largest > self.top:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.top *= 2.0
        if self.top == 0.0:
            self.counts[0] += values.size
        else:
            self.counts += np.histogram(magnitudes, bins=BINS, range=(0.0, self.top))[0]

    def threshold(self, calibrator: Calibrator, percentile: float = 99.99) -> float:
        """The magnitude that the largest step stands for; 0 where nothing, or nothing but zeros, was seen."""
        if self.largest == 0.0 or calibrator == "minmax":
            return self.largest
        found = {"percentile": lambda: self._percentile(percentile), "entropy": self._entropy, "mse": self._least_error}
        return min(found[calibrator](), self.largest) or self.largest

    def _percentile(self, percentile: float) -> float:
        collector = HistogramCollector("percentile", True, BINS, LEVELS + 1, percentile, "same")
        # Against rounding the last bin must be found for 100 %: the sum of shares may stay below 1.
        collector.percentile = min(percentile, 100.0 - 1e-9)
        largest = np.array(self.largest, np.float32)
        collector.histogram_dict = {_NAME: (self.counts, self.edges, -largest, largest)}
        return float(max(abs(value) for value in _quietly(collector.compute_percentile)[_NAME][:2]))

    def _entropy(self) -> float:
        """Both signs mirrored, in 256 bins each: ONNX Runtime's search takes time with their square."""
        side = self.counts.reshape(256, -1).sum(1)
        counts = np.concatenate([side[::-1], side])
        edges = np.linspace(-self.top, self.top, 513, dtype=np.float32)
        largest = np.array(self.largest, np.float32)
        collector = HistogramCollector("entropy", True, 512, LEVELS + 1, 100.0, "same")
        bounds = _quietly(collector.get_entropy_threshold, (counts, edges, -largest, largest, largest), LEVELS + 1)
        return float(max(abs(value) for value in bounds))

    def _least_error(self) -> float:
        centres = (self.edges[:-1].astype(np.float64) + self.edges[1:]) / 2
        best, found = np.inf, self.largest
        for candidate in np.linspace(0.0, self.largest, CANDIDATES + 1)[1:]:
            scale = candidate / LEVELS
            steps = np.minimum(np.rint(centres / scale), LEVELS)
            error = float((self.counts * np.square(centres - steps * scale)).sum())
            if error < best:
                best, found = error, float(candidate)
        return found

    def clipped(self, scale: float) -> float:
        """Share of values beyond the largest step of a scale, 0..1."""
        if not self.count:
            return 0.0
        beyond = self.edges[:-1] > (LEVELS + 0.5) * scale
        return float(self.counts[beyond].sum() / max(1, self.counts.sum()))

    def scale(self, calibrator: Calibrator, percentile: float = 99.99) -> float:
        """What one int8 step stands for, as a half."""
        return half_scale(self.threshold(calibrator, percentile))


def _quietly(call: Any, *arguments: Any) -> Any:
    """ONNX Runtime prints what it does."""
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(divide="ignore", invalid="ignore"):
        return call(*arguments)
