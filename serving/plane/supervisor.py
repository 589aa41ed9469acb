"""Supervisor of a model's child process.

It hands jobs to the process, and starts it again when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np

from ...runtime.errors import UserError
from ..access_log import AccessLog
from ..errors import BadRequestError, BusyError, DeadlineError, FailedError, ServingError, TooLargeError
from ..options import Limits, ModelOptions
from .queue import Job, JobQueue, Outcome
from .workers.opening import OPENER
from .workers.process import Lane, OpeningError, WorkerLostError, WorkerProcess
from .workers.protocol import PIXELS_TASK, Opened, Opening, Reply, Report, Task

BACKOFF = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before each start of a process that follows one that answered nothing; the last ones repeat."""
_LONGEST_WAIT = 60.0
"""Largest number of seconds that a refused client is told to wait."""
_NEWS = 0.2
"""Weight of the last go in the mean of the seconds of all."""
STOPPING = "the server is stopping; send the request to another one"
_LOG = logging.getLogger("spair.serving")


class NoteExecution(Protocol):
    """Function that notes each go of a child process."""

    def __call__(self, model: str, pictures: int, seconds: tuple[float, float, float]) -> None:
        """Note one go.

        Args:
            model: served name.
            pictures: number of pictures.
            seconds: time of taking pictures in, of restoring them, and of giving results out.
        """
        ...


class Supervisor:
    """Model in a replaceable child process.

    Each job that was in a process when it ended is computed once more, alone. A second end answers it with an error.
    Several jobs may be in a process, so the first end blames none of them.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        options: ModelOptions,
        limits: Limits,
        note: NoteExecution,
        *,
        log: AccessLog | None = None,
        opener: str = OPENER,
    ) -> None:
        """Name the model.

        Args:
            name: name that it is served under.
            path: bundle, served graph, or name of shipped weights.
            options: how it is opened.
            limits: bounds on requests.
            note: told about each go.
            log: gets a line for each start, readiness and restart.
            opener: see `Opening.opener`.
        """
        self.name, self._options, self._limits, self._note, self._log = name, options, limits, note, log
        self._order = Opening(name, str(path), opener, asdict(options))
        self.queue = JobQueue(name, limits)
        self.opened = Opened()
        """Facts of the model, once it was opened."""
        self.restarts = 0
        """Number of processes that ended without being asked to."""
        self._worker: WorkerProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._answered = True
        self._failures = 0
        self._pace = 0.0
        self._starting = False
        self._stopping = self._closed = False

    @property
    def is_ready(self) -> bool:
        """Whether a process is warm and takes requests."""
        return self._worker is not None and not self._stopping

    @property
    def worker(self) -> WorkerProcess | None:
        """Process that is warm; None while there is none."""
        return self._worker

    async def start(self) -> None:
        """Open the model for the first time.

        Raises:
            UserError: it cannot be opened; the message has the child's reason.
        """
        try:
            worker = await self._open()
        except (OpeningError, WorkerLostError, OSError) as error:
            raise UserError(f"cannot serve {self.name}: {error}") from error
        self._task = asyncio.create_task(self._keep(worker))

    async def submit(self, job: Job) -> Outcome:
        """Let a job be computed.

        Cancelling takes it out of the queue; if it is computed already, its results are dropped.

        Raises:
            ServingError: it cannot be answered; the class says why.
        """
        if self._stopping:
            raise BusyError(STOPPING)
        left = job.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineError("the request arrived after its own deadline; give it more time")
        try:
            self.queue.put(job)
        except BusyError as error:
            error.retry_after = self._guess_wait()
            raise
        timer = asyncio.get_running_loop().call_later(left, self._expire, job)
        try:
            return await job.future
        finally:
            timer.cancel()
            self.queue.remove(job)

    def refuse(self) -> None:
        """Take no more jobs from now on."""
        self._stopping = True

    async def drain(self) -> None:
        """Take no more jobs, and finish those that were taken."""
        self.refuse()
        while jobs := self.queue.open_jobs:
            await asyncio.wait([job.future for job in jobs])

    async def close(self) -> None:
        """End the process; may be called twice.

        What is left is answered with `BusyError`.
        """
        self._stopping = self._closed = True
        for job in self.queue.open_jobs:
            job.fail(BusyError(STOPPING))
        self.queue.wake()
        if self._worker is not None:
            self._worker.kill("the server is stopping")
        if self._task is not None:
            if self._starting:
                self._task.cancel()
            await asyncio.wait([self._task])

    def _guess_wait(self) -> int:
        """Guess the seconds until waiting requests are done."""
        lanes = max(1, self.opened.lanes)
        return round(min(max(len(self.queue) * self._pace / lanes, 1.0), _LONGEST_WAIT))

    async def _open(self) -> WorkerProcess:
        self._write("start")
        began = time.monotonic()
        worker = await WorkerProcess.start(self._order)
        self.opened = worker.opened
        self._write("ready", pid=worker.pid, seconds=round(time.monotonic() - began, 3), **worker.opened.facts)
        return worker

    async def _keep(self, worker: WorkerProcess) -> None:
        """Serve with one process after another."""
        while True:
            reason = await self._serve(worker)
            if self._closed:
                return
            self.restarts += 1
            self._write("restart", reason=reason)
            worker = await self._reopen()

    async def _reopen(self) -> WorkerProcess:
        """Start processes until one is warm; cancelling leaves none behind."""
        self._starting = True
        try:
            while True:
                self._failures = 0 if self._answered else self._failures + 1
                self._answered = False
                await asyncio.sleep(BACKOFF[min(self._failures, len(BACKOFF) - 1)])
                try:
                    return await self._open()
                except (OpeningError, WorkerLostError, OSError) as error:
                    self.restarts += 1
                    self._write("restart", reason=str(error))
        finally:
            self._starting = False

    async def _serve(self, worker: WorkerProcess) -> str:
        """Compute jobs until the process is lost.

        Returns:
            Words that say how.
        """
        end = asyncio.create_task(worker.wait_lost())
        lanes = [asyncio.create_task(self._work(worker, lane)) for lane in worker.lanes]
        self._worker = worker
        try:
            await asyncio.wait([end, *lanes], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._worker = None
            worker.kill("a lane of it ended")
            self.queue.wake()
            await asyncio.wait([end, *lanes])
            await worker.close()
        return end.result()

    async def _work(self, worker: WorkerProcess, lane: Lane) -> None:
        """Compute jobs on a lane until the process is lost."""
        while jobs := await self.queue.take(self._options.batch, lambda: worker.is_lost or self._closed):
            try:
                await self._compute(worker, lane, jobs)
            except WorkerLostError as error:
                worker.kill(str(error))
                for job in jobs:
                    self._settle(job, str(error))
                return
            except Exception as error:
                _LOG.exception("the answer of the model %s could not be read", self.name)
                for job in jobs:
                    job.fail(FailedError(f"the server failed with an internal error ({type(error).__name__})"))
                worker.kill("an answer could not be read")  # what comes next on this lane might be another job's
                return
            finally:
                self.queue.finish(jobs)

    def _settle(self, job: Job, reason: str) -> None:
        """Decide on a job whose process was lost."""
        if job.future.done():
            return
        job.losses += 1
        if self._closed:
            job.fail(BusyError(STOPPING))
        elif job.losses > 1:
            job.fail(
                FailedError(
                    f"the request ended the process of the model {self.name} twice ({reason}); do not repeat it"
                )
            )
        else:
            self.queue.put_back(job)

    async def _compute(self, worker: WorkerProcess, lane: Lane, jobs: Sequence[Job]) -> None:
        first, began = jobs[0], time.perf_counter()
        count = sum(job.pictures for job in jobs)
        task = Task(
            kind=first.kind,
            shape=(count, *first.shape[1:]) if first.kind == PIXELS_TASK else first.shape,
            wanted=tuple(dict.fromkeys(name for job in jobs for name in job.wanted)),
            format=first.format,
            threshold=first.threshold,
            max_pixels=self._limits.pixels,
        )
        patience = max(job.deadline for job in jobs) - time.monotonic() + self._limits.seconds
        reply = await worker.ask(lane, task, [job.data for job in jobs], patience)
        outputs = await asyncio.to_thread(_read_outputs, lane, reply, [job.pictures for job in jobs], first.kind)
        inside = [sum(report.seconds[part] for report in reply.reports) for part in range(3)]
        around = max(0.0, time.perf_counter() - began - sum(inside))
        restored = sum(not report.failure for report in reply.reports)
        if restored:
            self._note(first.model, restored, (inside[0] + around, inside[1], inside[2]))
        self._answered = True
        self._pace += _NEWS * (time.perf_counter() - began - self._pace)
        self._answer(jobs, reply, outputs)

    def _answer(self, jobs: Sequence[Job], reply: Reply, outputs: Sequence[dict[str, np.ndarray]]) -> None:
        now, place = time.monotonic(), 0
        for job, found in zip(jobs, outputs, strict=True):
            reports = reply.reports[place : place + job.pictures]
            place += job.pictures
            failed = next((report for report in reports if report.failure), None)
            if failed is not None:
                job.fail(_make_error(failed))
            else:
                wanted = {name: found[name] for name in job.wanted}
                job.finish(Outcome(wanted, reports, job.started - job.arrived, now - job.started))

    def _expire(self, job: Job) -> None:
        """Answer a job whose time is over."""
        seconds = time.monotonic() - job.arrived
        if not job.started:
            why = "waited" if self._worker else "waited for a process of the model, which is starting again,"
            job.fail(DeadlineError(f"the request {why} {seconds:.3g} seconds and was not begun; try again later"))
        else:
            job.fail(DeadlineError(f"the request was not answered within {seconds:.3g} seconds; send smaller pictures"))
        self.queue.remove(job)

    def _write(self, event: str, **fields: object) -> None:
        if self._log is not None:
            self._log.write(event, model=self.name, **fields)


def _read_outputs(lane: Lane, reply: Reply, counts: Sequence[int], kind: str) -> list[dict[str, np.ndarray]]:
    """Copy the outputs of each job out of shared memory."""
    places = {} if all(report.failure for report in reply.reports) else reply.places
    found: list[dict[str, np.ndarray]] = []
    done = 0
    for count in counts:
        outputs = {}
        for name, (place, shape) in places.items():
            if kind == PIXELS_TASK:
                each = int(np.prod(shape[1:]))
                outputs[name] = lane.arena.read(place + done * each, (count, *shape[1:]))
            else:
                outputs[name] = lane.arena.read(place, shape)
        found.append(outputs)
        done += count
    lane.arena.trim()
    return found


def _make_error(report: Report) -> ServingError:
    kinds: dict[int, Callable[[str], ServingError]] = {400: BadRequestError, 413: TooLargeError}
    return kinds.get(report.status, FailedError)(report.failure)
