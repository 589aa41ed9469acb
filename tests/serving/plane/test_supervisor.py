"""A process that ends is replaced, and no request is answered wrongly, twice, or never."""

import asyncio
import io
import json
import os
import signal
import time

import numpy as np
import pytest

from spair.runtime import UserError
from spair.serving.access_log import AccessLog
from spair.serving.errors import BusyError, DeadlineError, FailedError
from spair.serving.options import Limits, ModelOptions
from spair.serving.plane import supervisor
from tests.patience import PATIENCE
from tests.processes import is_running
from tests.serving.plane import commanded
from tests.serving.plane.planes import calls, command, infer, list_children, pictures, running, until

OPENER = commanded.OPENER


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(supervisor, "BACKOFF", (0.0, 0.01))


def test_a_process_killed_while_idle_is_replaced_without_a_request(tmp_path):
    with running({"m": tmp_path}, opener=OPENER) as one:
        old = one.pid()
        os.kill(old, signal.SIGKILL)
        one.run(until(lambda: one.restarts() == 1 and one.plane.is_ready))
        assert one.pid() != old and not is_running(old)
        np.testing.assert_array_equal(one.infer(pictures()).outputs[0].values, 255 - pictures())


def test_a_plane_is_not_ready_while_no_process_is_warm(tmp_path):
    with running({"m": tmp_path}, opener=OPENER) as one:
        (tmp_path / "refuse").touch()
        os.kill(one.pid(), signal.SIGKILL)
        one.run(until(lambda: one.restarts() > 2))  # the first one, and starts that failed
        assert not one.plane.is_ready and not one.plane.is_model_ready("m_bytes")
        assert {state.state for state in one.plane.list_models()} == {"UNAVAILABLE"}
        assert {state.reason for state in one.plane.list_models()} == {"its process is starting"}
        (tmp_path / "refuse").unlink()
        one.run(until(lambda: one.plane.is_ready))
        assert {state.state for state in one.plane.list_models()} == {"READY"}


def test_a_request_whose_process_is_killed_is_computed_once_more(tmp_path):
    with running({"m": tmp_path}, opener=OPENER) as one:
        answer = one.infer(command(commanded.KILL_ONCE))
        assert answer.outputs[0].values.ravel().tolist() == [255 - commanded.KILL_ONCE] * 3
        assert calls(tmp_path, commanded.KILL_ONCE) == 2 and one.restarts() == 1
        assert one.plane.count("m")[0]["inference_stats"]["success"]["count"] == 1


@pytest.mark.parametrize("number", [commanded.LOSE_GPU_ONCE, commanded.LOSE_CUDA_ONCE])
def test_a_lost_gpu_ends_the_process_and_not_the_request(tmp_path, number):
    with running({"m": tmp_path}, opener=OPENER) as one:
        old = one.pid()
        assert one.infer(command(number)).outputs[0].values.ravel().tolist() == [255 - number] * 3
        assert calls(tmp_path, number) == 2 and one.restarts() == 1 and one.pid() != old and not is_running(old)


def test_a_request_that_ends_its_process_twice_is_answered_and_not_tried_again(tmp_path):
    with running({"m": tmp_path}, opener=OPENER) as one:
        with pytest.raises(FailedError, match=r"ended the process of the model m twice \(.*SIGKILL.*do not repeat it"):
            one.infer(command(commanded.KILL))
        assert calls(tmp_path, commanded.KILL) == 2
        assert one.infer(pictures()).outputs[2].values.tolist() == [np.float32(2 / 3)]
        assert one.restarts() == 2 and one.plane.count("m")[0]["inference_stats"]["fail"]["count"] == 1


def test_requests_beside_and_behind_one_that_ends_the_process_are_answered(tmp_path):
    async def work(one):
        values = [command(commanded.KILL), *(pictures(seed=seed) for seed in range(6)), command(commanded.KILL_ONCE)]
        answers = await asyncio.gather(*(infer(one, each) for each in values), return_exceptions=True)
        assert isinstance(answers[0], FailedError)
        for each, answer in zip(values[1:], answers[1:], strict=True):
            np.testing.assert_array_equal(answer.outputs[0].values, 255 - each)

    with running({"m": tmp_path}, ModelOptions(threads=3), opener=commanded.SLOTS_OPENER) as one:
        one.run(work(one))


def test_neighbours_of_a_request_that_ends_the_process_are_computed_at_most_twice(tmp_path):
    async def work(one):
        waiting = asyncio.create_task(infer(one, command(commanded.WAIT)))
        await until(lambda: calls(tmp_path, commanded.WAIT) == 1)
        killing = asyncio.create_task(infer(one, command(commanded.KILL)))
        await until(lambda: one.restarts() == 1)
        (tmp_path / "go").touch()
        await waiting
        with pytest.raises(FailedError):
            await killing

    with running({"m": tmp_path}, opener=commanded.SLOTS_OPENER) as one:
        one.run(work(one))
        assert calls(tmp_path, commanded.WAIT) == 2 and calls(tmp_path, commanded.KILL) == 2


def test_a_stuck_process_is_killed_and_the_requests_behind_are_answered(tmp_path):
    async def work(one):
        stuck = asyncio.create_task(infer(one, command(commanded.HANG), deadline=time.monotonic() + PATIENCE))
        await until(lambda: calls(tmp_path, commanded.HANG) == 1)
        behind = asyncio.create_task(infer(one, pictures(), deadline=time.monotonic() + PATIENCE))
        with pytest.raises(DeadlineError, match=r"was not answered within .* seconds; send smaller pictures"):
            await stuck
        return await behind

    # The limit is short, so that the process counts as stuck soon, yet long enough for a request to begin and for an
    # answer of a process that is not stuck. The request behind waits as long as it may.
    with running({"m": tmp_path}, limits=Limits(seconds=5), opener=OPENER) as one:
        old = one.pid()
        with pytest.raises(DeadlineError):  # it waited for the stuck one for all the time that the limit gives it
            one.run(work(one))
        one.run(until(lambda: one.restarts() == 1 and one.plane.is_ready))
        assert not is_running(old) and calls(tmp_path, commanded.HANG) == 1
        assert one.infer(pictures()).outputs


def test_draining_finishes_what_was_taken_and_takes_no_more(tmp_path):
    async def work(one):
        taken = [asyncio.create_task(infer(one, command(number))) for number in (commanded.WAIT, 1, 2)]
        await until(lambda: calls(tmp_path) == [commanded.WAIT])
        drain = asyncio.create_task(one.plane.drain())
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="the server is stopping; send the request to another one"):
            await infer(one, command(3))
        assert not one.plane.is_ready and not drain.done()
        (tmp_path / "go").touch()
        await drain
        assert all(task.done() for task in taken)
        return [int(task.result().outputs[0].values.flat[0]) for task in taken]

    with running({"m": tmp_path}, opener=OPENER) as one:
        assert one.run(work(one)) == [255 - commanded.WAIT, 254, 253]
        assert {state.reason for state in one.plane.list_models()} == {"the server is stopping"}


def test_closing_answers_what_is_left(tmp_path):
    async def work(one):
        tasks = [asyncio.create_task(infer(one, command(number))) for number in (commanded.HANG, 1)]
        await until(lambda: calls(tmp_path) == [commanded.HANG])
        await one.plane.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with running({"m": tmp_path}, opener=OPENER) as one:
        pid = one.pid()
        assert [type(answer) for answer in one.run(work(one))] == [BusyError, BusyError]
        assert not is_running(pid)


def test_closing_while_a_process_starts_leaves_none(tmp_path):
    with running({"m": tmp_path}, opener=OPENER) as one:
        (tmp_path / "stall").touch()
        os.kill(one.pid(), signal.SIGKILL)
        one.run(until(lambda: one.restarts() == 1))
        one.run(asyncio.sleep(0.05))
        one.run(one.plane.close())
        one.run(one.plane.close())
        assert list_children() == []


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (commanded.MISS_GATE, "the network gave values that are not finite"),
        (
            commanded.FAIL,
            r"the picture failed with an internal error \(KeyError\); its traceback is in the log",
        ),
        (commanded.RUN_OUT, r"memory ran out \(5 GiB\); send smaller pictures"),
    ],
)
def test_a_failure_of_one_request_costs_no_process(tmp_path, number, sentence):
    with running({"m": tmp_path}, opener=OPENER) as one:
        with pytest.raises(FailedError, match=sentence):
            one.infer(command(number))
        with pytest.raises(FailedError, match=sentence):  # one bad picture fails its request
            one.infer(np.concatenate([command(1), command(number), command(2)]))
        assert one.restarts() == 0 and one.infer(command(5)).outputs
        (entry,) = one.plane.count("m")
        assert entry["inference_stats"]["fail"]["count"] == 2 and entry["inference_count"] == 3


def test_an_answer_that_cannot_be_read_ends_the_process_lest_it_is_taken_for_anothers(tmp_path, monkeypatch):
    def fail(*arguments):
        monkeypatch.undo()
        raise EOFError("made up")

    with running({"m": tmp_path}, opener=OPENER) as one:
        monkeypatch.setattr(supervisor, "_read_outputs", fail)
        with pytest.raises(FailedError, match=r"the server failed with an internal error \(EOFError\)"):
            one.infer(command(1))
        assert one.infer(command(2)).outputs[0].values.flat[0] == 253
        assert one.restarts() == 1 and calls(tmp_path) == [1, 2]


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("refuse", "cannot serve m: cannot open .*: a file says so"),
        ("crash", "cannot serve m: its process was ended by SIGSEGV"),
        ("bug", r"cannot serve m: opening .* failed with an internal error \(KeyError\); see the traceback in the log"),
    ],
)
def test_a_model_that_cannot_be_opened_is_a_sentence_and_leaves_no_process(tmp_path, file, sentence):
    (tmp_path / "good").mkdir()
    (tmp_path / file).touch()
    with (
        pytest.raises(UserError, match=sentence),
        running({"good": tmp_path / "good", "m": tmp_path}, opener=OPENER),
    ):
        raise AssertionError("it was started")
    assert list_children() == []


def test_starts_and_restarts_are_logged(tmp_path):
    stream = io.StringIO()
    with running({"m": tmp_path}, log=AccessLog(stream), opener=OPENER) as one:
        one.infer(command(commanded.KILL_ONCE))
        pid = one.pid()
    lines = [json.loads(line) for line in stream.getvalue().split("\n") if line]
    assert [line["event"] for line in lines] == ["start", "ready", "restart", "start", "ready"]
    assert {line["model"] for line in lines} == {"m"}
    assert "SIGKILL" in lines[2]["reason"] and lines[4]["pid"] == pid and lines[4]["backend"] == "onnxruntime"
