"""Requests wait in a bounded queue, no longer than they may, and leave it when nobody waits for them."""

import asyncio
import os
import signal
import time

import numpy as np
import pytest

from spair.serving.errors import BusyError, DeadlineError
from spair.serving.options import Limits
from tests.serving.plane import commanded
from tests.serving.plane.planes import calls, command, infer, pictures, running, until

OPENER = commanded.OPENER


def test_a_request_that_waits_too_long_is_not_computed(tmp_path):
    async def work(one):
        first = asyncio.create_task(infer(one, command(commanded.WAIT)))
        await until(lambda: calls(tmp_path) == [commanded.WAIT])
        with pytest.raises(DeadlineError, match=r"the request waited .* seconds and was not begun; try again later"):
            await infer(one, command(7), deadline=time.monotonic() + 0.5)
        (tmp_path / "go").touch()
        await first
        await infer(one, command(8))

    with running({"m": tmp_path}, opener=OPENER) as one:
        one.run(work(one))
        assert calls(tmp_path) == [commanded.WAIT, 8]


def test_a_deadline_in_the_past_is_refused_at_once(tmp_path):
    with running({"m": tmp_path}, opener=OPENER) as one:
        with pytest.raises(DeadlineError, match="arrived after its own deadline"):
            one.infer(pictures(), deadline=time.monotonic() - 1)
        assert calls(tmp_path) == []


def test_a_request_that_waits_for_a_process_is_told_so_at_its_deadline(tmp_path):
    with running({"m": tmp_path}, opener=OPENER) as one:
        (tmp_path / "refuse").touch()
        os.kill(one.pid(), signal.SIGKILL)
        one.run(until(lambda: not one.plane.is_ready))
        with pytest.raises(DeadlineError, match="waited for a process of the model, which is starting again"):
            one.infer(pictures(), deadline=time.monotonic() + 0.5)


def test_a_cancelled_request_leaves_the_queue_at_once(tmp_path):
    async def work(one):
        first = asyncio.create_task(infer(one, command(commanded.WAIT)))
        await until(lambda: calls(tmp_path) == [commanded.WAIT])
        second, third = (asyncio.create_task(infer(one, command(number))) for number in (7, 8))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        assert second.cancelled() and [int(job.data.flat[0]) for job in one.plane._supervisors["m"].queue] == [8]
        (tmp_path / "go").touch()
        await asyncio.gather(first, third)

    with running({"m": tmp_path}, opener=OPENER) as one:
        one.run(work(one))
        assert calls(tmp_path) == [commanded.WAIT, 8]
        assert (
            b'nv_inference_request_failure{model="m",reason="CANCELED",version="1"} 1.0'
            in (one.plane.render_metrics()[0])
        )


def test_the_results_of_a_request_cancelled_while_computed_are_dropped(tmp_path):
    async def work(one):
        first = asyncio.create_task(infer(one, command(commanded.WAIT)))
        await until(lambda: calls(tmp_path) == [commanded.WAIT])
        first.cancel()
        await asyncio.wait([first])
        (tmp_path / "go").touch()
        values = pictures()
        np.testing.assert_array_equal((await infer(one, values)).outputs[0].values, 255 - values)

    with running({"m": tmp_path}, opener=OPENER) as one:
        one.run(work(one))
        assert one.restarts() == 0


def test_a_full_queue_refuses_and_says_when_to_come_again(tmp_path):
    async def work(one):
        tasks = [asyncio.create_task(infer(one, command(commanded.WAIT)))]
        await until(lambda: calls(tmp_path) == [commanded.WAIT])
        tasks += [asyncio.create_task(infer(one, command(number))) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="the model m has 2 requests waiting and takes no more") as refused:
            await infer(one, command(3))
        assert refused.value.retry_after >= 1
        assert b'nv_inference_pending_request_count{model="m",version="1"} 2.0' in one.plane.render_metrics()[0]
        (tmp_path / "go").touch()
        await asyncio.gather(*tasks)

    with running({"m": tmp_path}, limits=Limits(queue=2), opener=OPENER) as one:
        one.run(work(one))
        assert calls(tmp_path) == [commanded.WAIT, 1, 2]
