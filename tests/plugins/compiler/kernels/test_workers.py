"""Processes that compile side by side: their number, their order, and what a failure leaves."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spair.plugins.compiler.kernels import workers as workers_module
from spair.plugins.compiler.kernels.workers import Workers
from spair.plugins.errors import PluginError
from tests.patience import PATIENCE

FAKE = """
import json, os, sys
for line in sys.stdin:
    job = json.loads(line)
    if "words" in job:
        sys.stderr.write(job["words"]); sys.stderr.flush(); os._exit(3)
    facts = {"pid": os.getpid(), "folder": os.getcwd(), "triton": [key for key in os.environ if key == "TRITON_TEST"]}
    print(json.dumps({"error": job["error"]} if "error" in job else facts), flush=True)
"""
"""Process that answers jobs without Triton."""


@pytest.fixture
def fake(monkeypatch):
    """Replace the program of the processes and give jobs the entries that messages need."""
    monkeypatch.setattr(workers_module, "_RUN", FAKE)
    return {"function": "double", "architecture": 87}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_answers_job_after_job_and_ends_with_the_block(fake):
    with Workers(1) as workers:
        first, second = workers.run(fake), workers.run(fake)
        assert first["pid"] == second["pid"] != os.getpid()
        assert is_alive(first["pid"])
    assert not is_alive(first["pid"])
    assert not Path(first["folder"]).exists()


def test_settings_of_triton_do_not_reach_the_process(fake, monkeypatch):
    monkeypatch.setenv("TRITON_TEST", "1")
    with Workers(1) as workers:
        assert workers.run(fake)["triton"] == []


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"error": "ValueError: one\n two"}, "cannot compile double for sm_87: ValueError: one two"),
        ({"words": "no\nmemory"}, "double for sm_87 ended Triton's process: exit code 3, no memory"),
        ({"words": ""}, "ended Triton's process: exit code 3$"),
    ],
)
def test_a_failure_is_one_sentence_and_the_next_job_gets_a_new_process(fake, job, message):
    with Workers(1) as workers:
        before = workers.run(fake)["pid"]
        with pytest.raises(PluginError, match=message) as caught:
            workers.run(fake | job)
        assert "\n" not in str(caught.value) and not is_alive(before)
        assert workers.run(fake)["pid"] != before


def test_a_long_last_word_is_cut_in_its_middle(fake):
    with Workers(1) as workers, pytest.raises(PluginError) as caught:
        workers.run(fake | {"words": "start " + 1000 * "x" + " end"})
    assert "start xx" in str(caught.value) and str(caught.value).endswith("xx end")
    assert str(caught.value).count("x") < 450


def test_results_come_in_the_order_of_the_items_and_are_told_as_they_finish():
    told: list[int] = []
    late = threading.Event()

    def call(item: int) -> int:
        if item == 0:
            assert late.wait(PATIENCE)
        return 10 * item

    def finished(result: int) -> None:
        told.append(result)
        if len(told) == 2:
            late.set()

    assert Workers(2).map(call, iter([0, 1, 2]), finished) == [0, 10, 20]
    assert told[-1] == 0 and sorted(told) == [0, 10, 20]


def test_nothing_to_do_is_done():
    assert Workers(1).map(lambda item: item, [], lambda result: None) == []


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_calls_run_at_a_time_than_there_are_processes(count):
    lock, running, most = threading.Lock(), set(), []
    together = threading.Barrier(count)

    def call(item: int) -> None:
        with lock:
            running.add(item)
            most.append(len(running))
        together.wait(PATIENCE)
        with lock:
            running.discard(item)

    Workers(count).map(call, range(2 * count), lambda result: None)
    assert max(most) == count


def test_the_first_failure_stops_the_calls_that_have_not_begun(monkeypatch):
    """Hold the second call until the others are cancelled, or until all would have run."""
    release = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            release.set()
            super().shutdown(wait=wait)

    monkeypatch.setattr(workers_module, "ThreadPoolExecutor", Pool)
    begun: list[int] = []

    def call(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise PluginError("the first one")
        assert release.wait(PATIENCE)

    with pytest.raises(PluginError, match="the first one"):
        Workers(1).map(call, range(5), lambda result: None)
    assert begun in ([0], [0, 1])
