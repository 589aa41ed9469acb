"""Histograms of activations and their INT8 ranges.

Four rules turn a histogram into the range that int8 covers; they differ in how much of the tail they cut off.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from ...runtime.backends.package import load_part
from ..conversion.weights import LEVELS, half_scale
from ..options import Calibrator

BINS = 2048
"""Number of bins of a histogram."""
CANDIDATES = 160
"""Number of ranges that the search for the least square error tries, up to the largest value."""
_NAME = "x"
"""Name of the tensor in ONNX Runtime's collectors."""


class Histogram:
    """Histogram of an activation's magnitudes over many tiles.

    It has BINS bins from 0 on. A larger value doubles the range, which merges pairs of bins. ONNX Runtime's collector,
    whose searches for percentile and entropy are used below, appends bins instead; their number has no limit if the
    first tile is almost black.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        """[BINS] int64, count of the values per bin."""
        self.top = 0.0
        """Upper end of the last bin; 0 as long as all values are zero."""
        self.largest = 0.0
        """Largest magnitude; 0 before the first value."""

    @property
    def count(self) -> int:
        """Count of all values."""
        return int(self.counts.sum())

    @property
    def edges(self) -> np.ndarray:
        """Magnitudes at the bins' edges, [BINS + 1] float32."""
        return np.linspace(0.0, self.top, BINS + 1, dtype=np.float32)

    def add(self, values: np.ndarray) -> None:
        """Add finite values [n] float32, where n may be 0."""
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
        """Find the magnitude that the largest step stands for.

        Args:
            calibrator: rule that chooses the magnitude.
            percentile: share of values in percent that the rule "percentile" does not clip.

        Returns:
            The magnitude; 0 if all values are zero or there is no value.
        """
        if self.largest == 0.0 or calibrator == "minmax":
            return self.largest
        found = {"percentile": lambda: self._percentile(percentile), "entropy": self._entropy, "mse": self._least_error}
        return min(found[calibrator](), self.largest) or self.largest

    def _percentile(self, percentile: float) -> float:
        collector = _make_collector("percentile", True, BINS, LEVELS + 1, percentile, "same")
        # Rounding may leave the sum of all shares below 1, and 100 % must still find the last bin.
        collector.percentile = min(percentile, 100.0 - 1e-9)
        largest = np.array(self.largest, np.float32)
        collector.histogram_dict = {_NAME: (self.counts, self.edges, -largest, largest)}
        return float(max(abs(value) for value in _quietly(collector.compute_percentile)[_NAME][:2]))

    def _entropy(self) -> float:
        """Find the range of least entropy.

        The search gets 256 bins for each sign, mirrored, because its time grows with the square of the bins.
        """
        side = self.counts.reshape(256, -1).sum(1)
        counts = np.concatenate([side[::-1], side])
        edges = np.linspace(-self.top, self.top, 513, dtype=np.float32)
        largest = np.array(self.largest, np.float32)
        collector = _make_collector("entropy", True, 512, LEVELS + 1, 100.0, "same")
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
        """Return the share (0..1) of values that a scale clips."""
        if not self.count:
            return 0.0
        beyond = self.edges[:-1] > (LEVELS + 0.5) * scale
        return float(self.counts[beyond].sum() / max(1, self.counts.sum()))

    def scale(self, calibrator: Calibrator, percentile: float = 99.99) -> float:
        """Return the value of one int8 step as a half.

        Args:
            calibrator: rule that chooses the range.
            percentile: see `threshold`.
        """
        return half_scale(self.threshold(calibrator, percentile))


def _make_collector(*arguments: Any) -> Any:
    """Make ONNX Runtime's collector of histograms."""
    return load_part("quantization.calibrate").HistogramCollector(*arguments)


def _quietly(call: Any, *arguments: Any) -> Any:
    """Call ONNX Runtime without its printed messages."""
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(divide="ignore", invalid="ignore"):
        return call(*arguments)
