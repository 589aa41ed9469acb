"""The sink works in a thread of its own; its failure is raised, and it is finished whatever happens."""

import threading

import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.runtime.live.output import Output
from spair.runtime.live.sinks import LiveFrame


class Sink:
    shown = "the sink"

    def __init__(self, fail=None, hang=None, hold=0):
        self.fail, self.hang, self.hold = fail, hang, hold
        self.seen, self.ends = [], []

    def write(self, one):
        if self.hang:
            self.hang.wait()
        if self.fail:
            raise self.fail
        self.seen.append(one.ticks)
        return self.seen[len(self.seen) - 1 - self.hold : len(self.seen) - self.hold]

    def finish(self):
        self.ends.append("finished")

    def abandon(self):
        self.ends.append("abandoned")


def make_frame(number, captured=0.0):
    pixels = np.zeros((1, 1, 3), np.uint8)
    return LiveFrame(number, captured, None, pixels, pixels, np.ones(pixels.shape[:2], bool))


def test_frames_are_handed_on_in_order_and_timed():
    sink, times = Sink(), iter([1.5, 2.0, 4.0])
    with Output(sink, lambda: next(times)) as output:
        for number in range(3):
            output.put(make_frame(number, captured=1.0))
    assert (sink.seen, sink.ends, output.written) == ([0, 1, 2], ["finished"], 3)
    assert output.latencies.find_percentile(50) == 1000.0 and output.latencies.find_percentile(99) == 3000.0


def test_a_window_sees_each_frame_as_well():
    sink, window = Sink(hold=1), Sink()
    with Output(sink, lambda: 0.0, window) as output:
        output.put(make_frame(0))
        output.put(make_frame(1))
    assert (sink.seen, window.seen, output.written) == ([0, 1], [0, 1], 1), "what counts is the sink"


def test_a_frame_that_is_held_back_is_out_when_it_leaves():
    sink, now = Sink(hold=1), [0.0]
    with Output(sink, lambda: now[0]) as output:
        output.put(make_frame(0))
        output.put(make_frame(1))
    assert output.written == 1


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, SystemExit, LookupError])
def test_the_sink_is_finished_whatever_ends_the_block(end):
    sink = Sink()

    def run():
        with Output(sink, lambda: 0.0) as output:
            output.put(make_frame(0))
            if end:
                raise end

    if end is None:
        run()
    else:
        with pytest.raises(end):
            run()
    assert (sink.seen, sink.ends) == ([0], ["finished"])


def test_a_failure_of_the_sink_is_raised_and_nothing_is_finished():
    sink = Sink(fail=UserError("the disk is full"))

    def run():
        with Output(sink, lambda: 0.0) as output:
            for number in range(100):
                output.put(make_frame(number))

    with pytest.raises(UserError, match="the disk is full"):
        run()
    assert sink.ends == ["abandoned"]


def test_a_receiver_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr("spair.runtime.live.output.SEND_SECONDS", 0.1)
    sink = Sink(hang=threading.Event())

    def run():
        with Output(sink, lambda: 0.0) as output:
            for number in range(4):
                output.put(make_frame(number))

    try:
        with pytest.raises(UserError, match="the sink took no frame for 0 s; look at its receiver"):
            run()
    finally:
        sink.hang.set()
