"""Times from capture to output."""

from __future__ import annotations

import math
from collections import deque

KEPT = 10_000
"""Number of the latest times that count, so that memory does not grow."""


class Latencies:
    """Times from the capture of a frame to its output."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float) -> None:
        """Take in the time of one frame."""
        self._seconds.append(seconds)

    def find_percentile(self, percent: int) -> float | None:
        """Return the time that most frames do not exceed.

        Args:
            percent: share of the frames.

        Returns:
            Milliseconds, one of the measured times (nearest rank); None without any.
        """
        times = sorted(self._seconds)
        if not times:
            return None
        return 1000.0 * times[max(0, math.ceil(percent / 100 * len(times)) - 1)]
