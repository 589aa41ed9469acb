"""Queue of the requests that wait for a model.

Requests are taken in the order in which they came. Its memory is bounded: at most `Limits.queue` requests wait, beside
one for each free lane, and as many bytes as `Limits.queue_bytes`, or a single larger request.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import BusyError
from ..options import Limits
from .workers.protocol import PIXELS_TASK, Report

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Outcome:
    """Results of a job."""

    outputs: Mapping[str, np.ndarray]
    """uint8 arrays by name; the bytes of a file for `FILE_TASK`."""
    reports: Sequence[Report]
    """A report for each picture."""
    waited: float
    """Seconds in the queue."""
    computed: float
    """Seconds from leaving the queue to the answer."""


@dataclass(eq=False)
class Job:
    """Request on its way through queue and child process."""

    model: str
    """Name that it was asked for by."""
    kind: str
    """`PIXELS_TASK` or `FILE_TASK`."""
    data: bytes | np.ndarray
    """Pixels [N, 3, H, W] uint8, or a file."""
    wanted: tuple[str, ...]
    """Outputs that lie in memory: restored, mask."""
    deadline: float
    """Time of `time.monotonic` after which nobody waits for the answer."""
    future: asyncio.Future[Outcome]
    """Answer; done as soon as nobody waits for it any more."""
    format: str = "png"
    threshold: float | str | None = None
    """Threshold of the mask, see `Task`."""
    losses: int = 0
    """Number of child processes that ended while they computed it."""
    arrived: float = field(default_factory=time.monotonic)
    started: float = 0.0
    """Time of `time.monotonic` when it last left the queue; 0 while it has never."""
    number: int = field(default_factory=lambda: next(_NUMBERS))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the pixels, or the length of the file."""
        return (len(self.data),) if isinstance(self.data, bytes) else tuple(self.data.shape)

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.nbytes

    @property
    def pictures(self) -> int:
        """Number of pictures."""
        return self.shape[0] if self.kind == PIXELS_TASK else 1

    @property
    def _setting(self) -> tuple[object, ...]:
        """Size and options that jobs of one go share."""
        return self.shape[1:], self.threshold

    def finish(self, outcome: Outcome) -> None:
        """Answer with results, if anybody waits."""
        if not self.future.done():
            self.future.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """Answer with an error, if anybody waits."""
        if not self.future.done():
            self.future.set_exception(error)

    def fits_behind(self, other: Job) -> bool:
        """Tell whether both can be computed in one go."""
        same = self.kind == other.kind == PIXELS_TASK and self.model == other.model
        return same and self._setting == other._setting and not self.losses


class JobQueue:
    """Bounded queue, first come, first served.

    Its methods belong to one event loop.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        """Make an empty queue.

        Args:
            name: name of the model, for messages.
            limits: bounds on the requests that wait.
        """
        self._name, self._limits = name, limits
        self._waiting: deque[Job] = deque()
        self._running: set[Job] = set()
        self._takers = 0
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Job]:
        """Walk through the jobs that wait."""
        return iter(self._waiting)

    def __len__(self) -> int:
        """Return the number of jobs that wait."""
        return len(self._waiting)

    @property
    def open_jobs(self) -> list[Job]:
        """Jobs whose answer somebody waits for."""
        return [job for job in (*self._waiting, *self._running) if not job.future.done()]

    def put(self, job: Job) -> None:
        """Let a new job in.

        Raises:
            BusyError: the queue is full.
        """
        held = sum(one.size for one in self._waiting)
        if len(self._waiting) >= self._limits.queue + self._takers:
            raise BusyError(
                f"the model {self._name} has {len(self._waiting)} requests waiting and takes no more; try again later"
            )
        if self._waiting and held + job.size > self._limits.queue_bytes:
            raise BusyError(
                f"the model {self._name} has requests of {held} bytes waiting and takes no {job.size} more; "
                "try again later"
            )
        self._waiting.append(job)
        self.wake()

    def put_back(self, job: Job) -> None:
        """Let a taken job wait again, at its old place."""
        self._running.discard(job)
        later = next((place for place, one in enumerate(self._waiting) if one.number > job.number), len(self._waiting))
        self._waiting.insert(later, job)
        self.wake()

    def remove(self, job: Job) -> None:
        """Take a job out, if it waits."""
        if job in self._waiting:
            self._waiting.remove(job)
            self.wake()

    def finish(self, jobs: Sequence[Job]) -> None:
        """Note that jobs are not computed any more."""
        self._running.difference_update(jobs)
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits in `take` look again."""
        self._changed.set()

    async def take(self, pictures: int, is_over: Callable[[], bool]) -> list[Job] | None:
        """Wait for jobs to compute in one go.

        They are the first that waits, and those right behind it of the same size. A job that was in a process when it
        ended is computed alone, so that it is known which one ends a process.

        Args:
            pictures: largest number of pictures of several jobs together.
            is_over: tells whether to give up, which is asked after each `wake`.

        Returns:
            The jobs; None if it is over.
        """
        self._takers += 1
        try:
            while not is_over():
                jobs = self._take_now(pictures)
                if jobs:
                    return jobs
                self._changed.clear()
                await self._changed.wait()
            return None
        finally:
            self._takers -= 1

    def _take_now(self, pictures: int) -> list[Job]:
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()
        if not self._waiting or any(job.losses for job in self._running):
            return []
        if self._waiting[0].losses and self._running:
            return []
        jobs = [self._waiting.popleft()]
        count = jobs[0].pictures
        while self._waiting and not jobs[0].losses and self._waiting[0].fits_behind(jobs[0]):
            count += self._waiting[0].pictures
            if count > pictures:
                break
            jobs.append(self._waiting.popleft())
        for job in jobs:
            job.started = time.monotonic()
        self._running.update(jobs)
        return jobs
