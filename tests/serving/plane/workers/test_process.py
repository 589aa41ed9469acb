"""A child process computes tasks on its lanes, and its end is seen and described."""

import asyncio
import os
import signal

import numpy as np
import pytest

from spair.serving.plane.workers.process import OpeningError, WorkerLostError, WorkerProcess
from spair.serving.plane.workers.protocol import PIXELS_TASK, Opening, Task
from tests.patience import PATIENCE
from tests.processes import is_running
from tests.serving.plane import commanded
from tests.serving.plane.planes import command, list_descriptors, list_opened

TASK = Task(PIXELS_TASK, (1, 3, 1, 1), ("restored",))


def order(folder, opener=commanded.OPENER, **options):
    return Opening("m", str(folder), opener, options)


def run(test):
    asyncio.run(asyncio.wait_for(test(), PATIENCE))


async def start(folder, **fields):
    return await WorkerProcess.start(order(folder, **fields))


def test_tasks_are_answered_in_memory_lane_by_lane(tmp_path):
    async def test():
        worker = await start(tmp_path, opener=commanded.SLOTS_OPENER, threads=3)
        assert worker.opened.facts["backend"] == "tensorrt" and len(worker.lanes) == worker.opened.lanes == 3
        for number, lane in enumerate(worker.lanes):
            reply = await worker.ask(lane, TASK, [command(number)], PATIENCE)
            place, shape = reply.places["restored"]
            assert lane.arena.read(place, shape).ravel().tolist() == [255 - number] * 3
        memory = worker.read_memory()
        assert memory is not None and memory > 10_000_000
        await worker.close()
        await worker.close()
        assert not is_running(worker.pid) and worker.is_lost

    run(test)


def test_lanes_compute_at_the_same_time(tmp_path):
    async def test():
        worker = await start(tmp_path, opener=commanded.SLOTS_OPENER)
        first, second = worker.lanes
        waiting = asyncio.create_task(worker.ask(first, TASK, [command(commanded.WAIT)], PATIENCE))
        await worker.ask(second, TASK, [command(1)], PATIENCE)  # while the first one waits
        assert not waiting.done()
        (tmp_path / "go").touch()
        await waiting
        await worker.close()

    run(test)


def test_pieces_of_a_task_lie_one_behind_the_other(tmp_path):
    async def test():
        worker = await start(tmp_path)
        task = Task(PIXELS_TASK, (3, 3, 2, 2), ("restored",))
        pieces = [np.full((count, 3, 2, 2), count, np.uint8) for count in (1, 2)]
        reply = await worker.ask(worker.lanes[0], task, pieces, 50)
        place, shape = reply.places["restored"]
        np.testing.assert_array_equal(worker.lanes[0].arena.read(place, shape), 255 - np.concatenate(pieces))
        await worker.close()

    run(test)


def test_a_killed_process_is_lost_with_its_signal(tmp_path):
    async def test():
        worker = await start(tmp_path)
        waiting = asyncio.create_task(worker.ask(worker.lanes[0], TASK, [command(commanded.HANG)], PATIENCE))
        end = asyncio.create_task(worker.wait_lost())
        await asyncio.sleep(0.01)
        os.kill(worker.pid, signal.SIGKILL)
        sentence = "its process was ended by SIGKILL, as the system does when memory runs out"
        with pytest.raises(WorkerLostError, match=sentence):
            await waiting
        assert await end == sentence
        with pytest.raises(WorkerLostError, match=sentence):
            await worker.ask(worker.lanes[0], TASK, [command(1)], PATIENCE)
        assert worker.is_lost
        await worker.close()

    run(test)


def test_the_first_reason_of_an_end_counts(tmp_path):
    async def test():
        worker = await start(tmp_path)
        worker.kill("it was stuck")
        worker.kill("something else")
        assert await worker.wait_lost() == "it was stuck"
        await worker.close()

    run(test)


def test_a_process_that_does_not_answer_is_lost(tmp_path):
    async def test():
        worker = await start(tmp_path)
        with pytest.raises(WorkerLostError, match=r"it did not answer for 0\.05 seconds"):
            await worker.ask(worker.lanes[0], TASK, [command(commanded.HANG)], 0.05)
        await worker.close()
        assert not is_running(worker.pid)  # also while it computes

    run(test)


def test_a_lost_gpu_is_the_end_of_the_process(tmp_path):
    async def test():
        worker = await start(tmp_path)
        with pytest.raises(WorkerLostError, match=r"the GPU was lost \(made up\)"):
            await worker.ask(worker.lanes[0], TASK, [command(commanded.LOSE_GPU_ONCE)], PATIENCE)
        await worker.close()

    run(test)


@pytest.mark.parametrize(
    ("file", "kind", "sentence"),
    [
        ("refuse", OpeningError, "a file says so"),
        ("bug", OpeningError, r"failed with an internal error \(KeyError\)"),
        ("crash", WorkerLostError, "its process was ended by SIGSEGV"),
    ],
)
def test_a_model_that_cannot_be_opened_leaves_nothing_open(tmp_path, file, kind, sentence):
    (tmp_path / file).touch()

    async def test():
        before = list_descriptors()
        with pytest.raises(kind, match=sentence):
            await start(tmp_path)
        assert list_opened(before) == []

    run(test)


def test_a_process_that_does_not_get_ready_is_ended(tmp_path):
    (tmp_path / "stall").touch()

    async def test():
        before = list_descriptors()
        with pytest.raises(OpeningError, match=r"opening .* took more than 0\.2 seconds"):
            await WorkerProcess.start(order(tmp_path), seconds=0.2)
        assert list_opened(before) == []

    run(test)


def test_a_cancelled_start_leaves_nothing(tmp_path):
    (tmp_path / "stall").touch()

    async def test():
        before = list_descriptors()
        starting = asyncio.create_task(start(tmp_path))
        await asyncio.sleep(0.05)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert list_opened(before) == []

    run(test)
