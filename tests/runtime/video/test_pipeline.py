"""Items pass through three threads in order, few at a time, and an error of one ends all."""

import threading

import pytest

from spair.runtime.video.pipeline import DEPTH, Channel, run_stages


def test_items_keep_their_order():
    taken = []
    seconds = run_stages(range(500), lambda item: item * 3, taken.append)
    assert taken == [3 * item for item in range(500)]
    assert list(seconds) == ["decode", "restore", "encode"] and min(seconds.values()) > 0


def test_no_item_is_no_error():
    assert set(run_stages([], lambda item: item, print).values()) != {None}


def test_all_stages_work_at_the_same_time():
    """Each waits for the two others, so a stage that did not overlap would never end."""
    meeting = threading.Barrier(3, timeout=60)

    def source():
        yield 0
        yield 1
        meeting.wait()
        yield 2

    def work(item):
        if item == 1:
            meeting.wait()
        return item

    def sink(item):
        if item == 0:
            meeting.wait()

    run_stages(source(), work, sink)


def test_few_items_are_under_way():
    under_way, most, lock = 0, 0, threading.Lock()

    def source():
        nonlocal under_way, most
        for item in range(300):
            with lock:
                under_way += 1
                most = max(most, under_way)
            yield item

    def sink(item):
        nonlocal under_way
        with lock:
            under_way -= 1

    run_stages(source(), lambda item: item, sink)
    assert most <= 2 * DEPTH + 3  # those that wait, and one in each stage


@pytest.mark.parametrize("stage", ["source", "work", "sink"])
@pytest.mark.parametrize("at", [0, 7])
def test_an_error_of_any_stage_ends_all(stage, at):
    before = threading.active_count()

    def fail(name, item):
        if name == stage and item == at:
            raise LookupError(f"in the {name}")
        return item

    def source():
        for item in range(1000):
            yield fail("source", item)

    with pytest.raises(LookupError, match=f"in the {stage}"):
        run_stages(source(), lambda item: fail("work", item), lambda item: fail("sink", item))
    assert threading.active_count() == before


def test_items_before_an_error_of_the_source_are_still_written():
    taken = []

    def source():
        yield from range(5)
        raise LookupError

    with pytest.raises(LookupError):
        run_stages(source(), lambda item: item, taken.append)
    assert taken == list(range(len(taken)))


def test_ctrl_c_ends_all_threads():
    before, taken = threading.active_count(), []

    def work(item):
        if item == 20:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        run_stages(range(10**9), work, taken.append)
    assert threading.active_count() == before
    assert taken == list(range(len(taken))) and len(taken) <= 20


def test_a_channel_ends_after_its_items():
    channel = Channel(3)
    for item in "abc":
        channel.put(item)
    channel.end()
    assert list(channel) == ["a", "b", "c"]


def test_a_channel_that_stays_full_is_given_up_in_time():
    channel = Channel(1)
    channel.put(0, 0.0)
    with pytest.raises(TimeoutError):
        channel.put(1, 0.001)
    assert next(iter(channel)) == 0


def test_an_error_is_not_lost_where_the_end_comes_after_it():
    channel = Channel()
    channel.put(1)
    channel.abandon(BrokenPipeError())
    channel.end()
    with pytest.raises(BrokenPipeError):
        channel.check()
