"""Captured frames, and the readers that yield them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

Clock = Callable[[], float]
"""Function that returns seconds which only grow, as `time.monotonic`."""
USUAL_RATE = Fraction(30)
"""Frames a second of a source that does not say."""


class LostError(Exception):
    """Loss of a source, which may come back."""


@dataclass(frozen=True)
class CapturedFrame:
    """Frame with the time at which it was captured."""

    frame: Any
    """Decoded frame of PyAV."""
    time: float
    """Seconds on the clock when the last byte of it had arrived."""
    rate: Fraction
    """Frames a second, as far as the source says."""
    aspect: Fraction | None = None
    """Width of a pixel over its height; None where the source does not say."""


class Reader(AbstractContextManager["Reader"], Protocol):
    """Open source."""

    finite: bool
    """Whether the end of its frames is its own end, and no loss."""
    damaged: int
    """Number of frames that could not be decoded."""

    def __iter__(self) -> Iterator[CapturedFrame]:
        """Yield frames.

        Raises:
            LostError: the source is gone.
        """
        ...
