"""Nothing is left behind, neither by many requests nor by processes that were killed."""

import asyncio
import gc
import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spair.serving.options import ModelOptions
from spair.serving.plane import supervisor
from tests.serving.plane import commanded
from tests.serving.plane.planes import ask, command, list_children, list_descriptors, running, until

REQUESTS, RESTARTS = 200, 3


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(supervisor, "BACKOFF", (0.0, 0.01))


def list_shared_memory():
    folder = Path("/dev/shm")
    return sorted(path.name for path in folder.iterdir() if "spair" in path.name) if folder.is_dir() else []


def look():
    """Count what this process holds by its kind, with the numbers of pipes and sockets left out."""
    gc.collect()
    kinds = [name.partition(":")[0] for name in list_descriptors()]
    return Counter(kinds) + Counter(list_shared_memory()) + Counter(children=len(list_children()))


def find_more(before):
    """What this process holds more than before; what other tests have left may go meanwhile."""
    return look() - before


def test_requests_and_restarts_leave_nothing_behind(tmp_path):
    async def work(one):
        for number in range(RESTARTS):
            values = [np.full((1, 3, 1 + place % 5, 2), place, np.uint8) for place in range(REQUESTS // RESTARTS + 1)]
            for start in range(0, len(values), 20):
                part = values[start : start + 20]
                answers = await asyncio.gather(*(one.plane.infer(ask(each)) for each in part))
                for each, answer in zip(part, answers, strict=True):
                    np.testing.assert_array_equal(answer.outputs[0].values, 255 - each)
            os.kill(one.pid(), signal.SIGKILL)
            await until(lambda expected=number + 1: one.restarts() == expected and one.plane.is_ready)

    before_all = look()
    with running({"m": tmp_path}, ModelOptions(threads=2), opener=commanded.SLOTS_OPENER) as one:
        one.infer(command(1))  # the loop's own threads and sockets are there after the first one
        before = look()
        one.run(work(one))
        assert not find_more(before)
    assert not find_more(before_all)


def test_a_process_killed_in_the_middle_of_a_large_request_leaves_nothing_behind(tmp_path):
    async def work(one):
        large = np.zeros((1, 3, 500, 500), np.uint8)
        waiting = asyncio.create_task(one.plane.infer(ask(command(commanded.HANG))))
        behind = asyncio.create_task(one.plane.infer(ask(large)))
        await until(lambda: (tmp_path / "calls").exists())
        waiting.cancel()
        os.kill(one.pid(), signal.SIGKILL)
        assert (await behind).outputs[0].shape == large.shape

    before_all = look()
    with running({"m": tmp_path}, opener=commanded.OPENER) as one:
        one.infer(np.zeros((1, 3, 2, 2), np.uint8))
        (tmp_path / "calls").unlink()
        before = look()
        one.run(work(one))
        assert not find_more(before)
    assert not find_more(before_all)
