"""The queue is fair and bounded, and computes suspects alone."""

import asyncio
import time

import numpy as np
import pytest

from spair.serving.errors import BusyError
from spair.serving.options import Limits
from spair.serving.plane.queue import Job, JobQueue, Outcome
from spair.serving.plane.workers.protocol import FILE_TASK, PIXELS_TASK
from tests.patience import PATIENCE


def make(height=2, count=1, model="m", data=None, threshold=None):
    values = np.zeros((count, 3, height, 2), np.uint8) if data is None else data
    return Job(
        model=model,
        kind=PIXELS_TASK if data is None else FILE_TASK,
        data=values,
        wanted=("restored",),
        deadline=time.monotonic() + PATIENCE,
        future=asyncio.get_running_loop().create_future(),
        threshold=threshold,
    )


def run(test):
    asyncio.run(test())


async def settle():
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def take(queue, pictures=1):
    return await asyncio.wait_for(queue.take(pictures, lambda: False), PATIENCE)


def test_jobs_are_taken_in_the_order_in_which_they_came():
    async def test():
        queue = JobQueue("m", Limits())
        jobs = [make() for _ in range(4)]
        for job in jobs:
            queue.put(job)
        assert [job for _ in range(4) for job in await take(queue)] == jobs
        assert all(job.started for job in jobs) and len(queue) == 0

    run(test)


def test_a_job_that_is_put_back_keeps_its_place():
    async def test():
        queue = JobQueue("m", Limits())
        jobs = [make() for _ in range(4)]
        for job in jobs:
            queue.put(job)
        first, second = (await take(queue))[0], (await take(queue))[0]
        queue.put_back(second)
        queue.put_back(first)
        assert list(queue) == jobs

    run(test)


def test_as_many_wait_as_the_limit_says_beside_one_for_each_free_lane():
    async def test():
        queue = JobQueue("m", Limits(queue=2))
        lanes = [asyncio.create_task(take(queue)) for _ in range(2)]
        await settle()
        jobs = [make() for _ in range(4)]
        for job in jobs:
            queue.put(job)
        with pytest.raises(BusyError, match="the model m has 4 requests waiting and takes no more; try again later"):
            queue.put(make())
        assert [await lane for lane in lanes] == [[jobs[0]], [jobs[1]]]
        with pytest.raises(BusyError, match="has 2 requests waiting"):
            queue.put(make())
        queue.remove(jobs[2])
        queue.put(make())

    run(test)


def test_the_bytes_that_wait_are_bounded_but_one_request_may_be_larger():
    async def test():
        queue = JobQueue("m", Limits(queue_bytes=10))
        queue.put(make(data=b"x" * 11))
        with pytest.raises(BusyError, match="the model m has requests of 11 bytes waiting and takes no 1 more"):
            queue.put(make(data=b"y"))
        await take(queue)
        queue.put(make(data=b"x" * 5))
        queue.put(make(data=b"x" * 5))
        with pytest.raises(BusyError, match="requests of 10 bytes"):
            queue.put(make(data=b"z"))

    run(test)


def test_a_job_that_nobody_waits_for_is_never_taken():
    async def test():
        queue = JobQueue("m", Limits())
        given_up, job = make(), make()
        queue.put(given_up)
        queue.put(job)
        given_up.future.cancel()
        assert queue.open_jobs == [job]
        assert await take(queue) == [job]
        queue.remove(given_up)  # no harm

    run(test)


def test_waiting_for_jobs_ends_when_it_is_over():
    async def test():
        queue, over = JobQueue("m", Limits()), []
        lane = asyncio.create_task(queue.take(1, lambda: bool(over)))
        await settle()
        over.append(1)
        queue.wake()
        assert await asyncio.wait_for(lane, PATIENCE) is None
        queue.put(make())
        assert await queue.take(1, lambda: True) is None and len(queue) == 1

    run(test)


def test_a_batch_is_the_first_jobs_of_one_size_and_no_later_ones():
    async def test():
        queue = JobQueue("m", Limits())
        jobs = [make(2), make(2, count=2), make(2, count=2), make(3), make(2), make(data=b"x"), make(data=b"x")]
        for job in jobs:
            queue.put(job)
        assert await take(queue, 4) == jobs[:2]
        assert await take(queue, 4) == jobs[2:3]
        assert await take(queue, 4) == jobs[3:4]
        assert await take(queue, 4) == jobs[4:5]
        assert await take(queue, 4) == jobs[5:6]  # files have no size yet
        queue.put(make(2, count=9))
        await take(queue, 4)
        assert (await take(queue, 4))[0].pictures == 9  # more than a batch, alone

    run(test)


def test_a_suspect_is_computed_alone_whoever_else_waits():
    async def test():
        queue = JobQueue("m", Limits())
        suspect, other, third = make(), make(), make()
        for job in (suspect, other, third):
            queue.put(job)
        assert await take(queue) == [suspect]
        assert await take(queue) == [other]
        suspect.losses = 1
        queue.put_back(suspect)
        lane = asyncio.create_task(take(queue, 8))
        await settle()
        assert not lane.done()  # the other one is computed still
        queue.finish([other])
        assert await lane == [suspect]
        lane = asyncio.create_task(take(queue))
        await settle()
        assert not lane.done()
        queue.finish([suspect])
        assert await lane == [third]

    run(test)


def test_an_answered_job_takes_no_second_answer():
    async def test():
        job = make()
        outcome = Outcome({}, (), 0.0, 0.0)
        job.finish(outcome)
        job.fail(ValueError("late"))
        job.finish(Outcome({}, (), 1.0, 1.0))
        assert await job.future is outcome
        failed = make()
        failed.fail(ValueError("first"))
        failed.finish(outcome)
        with pytest.raises(ValueError, match="first"):
            await failed.future

    run(test)


def test_sizes_of_jobs_are_those_of_their_pixels_or_file():
    async def test():
        pixels, file = make(5, count=2), make(data=b"abc")
        assert (pixels.shape, pixels.size, pixels.pictures) == ((2, 3, 5, 2), 60, 2)
        assert (file.shape, file.size, file.pictures) == ((3,), 3, 1)

    run(test)


def test_jobs_of_other_thresholds_are_not_computed_in_one_go():
    async def test():
        queue = JobQueue("m", Limits())
        jobs = [make(threshold=one) for one in (None, None, 0.2, 0.2, "best", None)]
        for job in jobs:
            queue.put(job)
        assert [await take(queue, 8) for _ in range(4)] == [jobs[:2], jobs[2:4], jobs[4:5], jobs[5:]]

    run(test)
