"""Counts of requests, as in Triton's statistics extension."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ..errors import BusyError, DeadlineError, FailedError, ServingError
from .queue import Outcome

REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
"""Reasons of failures that Triton tells apart."""
MAX_BATCH_SIZES = 64
"""Number of different batch sizes that are counted one by one; clients choose them, so there could be millions."""
PARTS = ("compute_input", "compute_infer", "compute_output")
"""Parts of a computation, in their order."""


@dataclass
class Duration:
    """Number and time of something that happens again and again."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count once more."""
        self.count += 1
        self.seconds += seconds

    def to_json(self) -> dict[str, int]:
        """Return the count and nanoseconds."""
        return {"count": self.count, "ns": round(self.seconds * 1e9)}


@dataclass
class ModelStatistics:
    """Counts of one served name since the server's start."""

    name: str
    version: str
    success: Duration = field(default_factory=Duration)
    failures: dict[str, Duration] = field(default_factory=lambda: {reason: Duration() for reason in REASONS})
    queue: Duration = field(default_factory=Duration)
    parts: dict[str, Duration] = field(default_factory=lambda: {part: Duration() for part in PARTS})
    batches: dict[int, dict[str, Duration]] = field(default_factory=dict)
    inferences: int = 0
    """Number of pictures."""
    executions: int = 0
    """Number of goes; one may hold several requests."""
    tiles: dict[str, int] = field(default_factory=lambda: {"skipped": 0, "packed": 0, "dense": 0})
    last: float = 0.0
    """Seconds since 1970 of the last execution; 0 if there was none."""

    def execute(self, pictures: int, seconds: tuple[float, float, float]) -> None:
        """Count a go of a child process.

        Args:
            pictures: number of pictures.
            seconds: time of taking pictures in, of restoring them, and of giving results out.
        """
        self.last = time.time()
        self.inferences += pictures
        self.executions += 1
        if pictures in self.batches or len(self.batches) < MAX_BATCH_SIZES:
            counted = self.batches.setdefault(pictures, {part: Duration() for part in PARTS})
            for part, spent in zip(PARTS, seconds, strict=True):
                counted[part].add(spent)

    def succeed(self, outcome: Outcome, seconds: float) -> None:
        """Count a request that was answered with results.

        Args:
            outcome: its results.
            seconds: time from its arrival to its answer.
        """
        self.success.add(seconds)
        self.queue.add(outcome.waited)
        for part, spent in zip(PARTS, split_time(outcome), strict=True):
            self.parts[part].add(spent)
        for report in outcome.reports:
            for path, count in zip(self.tiles, report.tiles, strict=True):
                self.tiles[path] += count

    def fail(self, error: BaseException, seconds: float) -> None:
        """Count a request that was not answered with results.

        Args:
            error: why not; anything but a `ServingError` counts as cancelled.
            seconds: time from its arrival to its end.
        """
        self.failures[find_reason(error)].add(seconds)

    def to_json(self, memory: int | None = None) -> dict[str, Any]:
        """Return the entry of the statistics extension.

        Args:
            memory: bytes that the child process has in use; None if they are not known.
        """
        failed = Duration(
            sum(one.count for one in self.failures.values()), sum(one.seconds for one in self.failures.values())
        )
        none = Duration().to_json()
        return {
            "name": self.name,
            "version": self.version,
            "last_inference": round(self.last * 1000),
            "inference_count": self.inferences,
            "execution_count": self.executions,
            "inference_stats": {
                "success": self.success.to_json(),
                "fail": failed.to_json(),
                "queue": self.queue.to_json(),
                **_write_parts(self.parts),
                "cache_hit": none,
                "cache_miss": none,
            },
            "response_stats": {},  # those of models that give several responses to a request
            "batch_stats": [{"batch_size": size, **_write_parts(self.batches[size])} for size in sorted(self.batches)],
            "memory_usage": [] if memory is None else [{"type": "CPU", "id": 0, "byte_size": memory}],
        }


def split_time(outcome: Outcome) -> tuple[float, float, float]:
    """Split the time of a computation into its three parts.

    What was spent around the pictures, on messages and copies, counts as input.

    Returns:
        Seconds of taking pictures in, of restoring them, and of giving results out.
    """
    inside = [sum(report.seconds[part] for report in outcome.reports) for part in range(3)]
    return max(outcome.computed - inside[1] - inside[2], 0.0), inside[1], inside[2]


def find_reason(error: BaseException) -> str:
    """Find the reason of a failure, one of `REASONS`."""
    if isinstance(error, BusyError | DeadlineError):
        return "REJECTED"
    if isinstance(error, FailedError):
        return "BACKEND"
    return "OTHER" if isinstance(error, ServingError) else "CANCELED"


def _write_parts(parts: dict[str, Duration]) -> dict[str, dict[str, int]]:
    return {part: duration.to_json() for part, duration in parts.items()}
