"""Runs are warmed up, timed long enough, and described in trtexec's terms."""

import pytest

from spair.runtime.engine.errors import EngineError
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.profiling.engines.runs import (
    FIRST,
    Rounds,
    TimedRuns,
    describe_replays,
    describe_runs,
    list_steps,
    time_runs,
)
from tests.runtime.engine.pictures import draw
from tests.runtime.profiling.engines.conftest import make_replay, make_run


class MadeUpSlot:
    """Slot whose runs take a second of its own clock."""

    refused = None

    def __init__(self, fails_after=1000):
        self.now, self.calls, self._left = 0.0, [], fails_after

    def clock(self):
        return self.now

    def prepare(self, feeds):
        self.calls.append("prepare")

    def make_marks(self, clock):
        self.calls.append("marks")
        return self

    def repeat(self, marks):
        assert marks is self
        if not self._left:
            raise EngineError("no more")
        self._left -= 1
        self.now += 1.0
        self.calls.append("run")

    def read(self):
        self.calls.append("read")
        return make_run(self.now)

    def close(self):
        self.calls.append("close")


@pytest.mark.parametrize(
    ("rounds", "warm_up", "timed"),
    [
        (Rounds.exactly(3), FIRST, 3),
        (Rounds(warm_up=0.0, least=10, seconds=3.0), FIRST, 10),
        (Rounds(warm_up=7.5, least=2, seconds=12.0), 8, 12),
    ],
)
def test_runs_go_on_until_both_limits_are_reached(rounds, warm_up, timed):
    slot = MadeUpSlot()
    found = time_runs(slot, {}, rounds, slot.clock)
    assert (found.warm_up, len(found.times), found.seconds) == (warm_up, timed, float(timed))
    assert slot.calls == ["prepare", "marks", *["run"] * warm_up, *["run", "read"] * timed, "close"]


def test_the_usual_limits_are_those_of_trtexec():
    assert Rounds() == Rounds(warm_up=0.2, least=10, seconds=3.0)


def test_the_marks_are_closed_when_a_run_fails():
    slot = MadeUpSlot(fails_after=FIRST + 1)
    with pytest.raises(EngineError):
        time_runs(slot, {}, Rounds.exactly(3), slot.clock)
    assert slot.calls[-1] == "close"


def test_the_latency_is_the_sum_of_the_steps():
    times = [make_run(compute=compute) for compute in (4.0, 2.0, 3.0)]
    found = describe_runs(TimedRuns(times, 4, 0.5, None))
    medians = {name: found[f"{name}_ms"]["median"] for name in ("h2d", "compute", "d2h", "latency", "enqueue")}
    assert medians == {"h2d": 1.0, "compute": 3.0, "d2h": 0.5, "latency": 4.5, "enqueue": 0.25}
    assert (found["runs"], found["warm_up_runs"], found["seconds"], found["per_second"]) == (3, 4, 0.5, 6.0)
    assert found["variation"] == pytest.approx(27.217, abs=1e-3)
    assert [words.partition(" vary ")[0] for words in found["warnings"]] == ["the times of the inference"]


def test_a_graph_is_described_as_a_whole():
    found = describe_replays(TimedRuns([make_replay(total=total) for total in (5.0, 7.0)], 4, 0.0, None))
    assert found["latency_ms"]["mean"] == 6.0 and found["enqueue_ms"]["max"] == 0.125
    assert found["refused"] is None and found["per_second"] is None


@pytest.mark.parametrize(("refused", "said"), [("error 901", "error 901"), (None, "the runs were not captured")])
def test_runs_that_were_not_replayed_are_no_times_of_a_graph(refused, said):
    times = [make_replay(), make_run()]
    assert describe_replays(TimedRuns(times, 4, 1.0, refused)) == {"refused": said}


def test_a_graph_has_no_steps():
    with pytest.raises(AssertionError, match="a graph has no steps"):
        list_steps(make_replay())


@pytest.mark.parametrize("graph", [False, True])
def test_a_slot_on_the_gpu_is_timed_in_either_way(gpu, network, graph):
    with network.whole.own_slot(SlotOptions(graph=graph)) as slot:
        found = time_runs(slot, {"image": draw(24, 32)[None]}, Rounds.exactly(2))
    assert found.replayed is graph and len(found.times) == 2
    assert ("cuGraphLaunch" in gpu.calls) is graph
    assert found.times[0].total[1] <= found.times[1].total[0], "each run waits for the one before"


@pytest.mark.breaks
def test_a_capture_that_fails_is_said(gpu, network):
    gpu.fail("cuGraphInstantiateWithFlags", 901)
    with network.whole.own_slot(SlotOptions(graph=True)) as slot:
        found = time_runs(slot, {"image": draw(24, 32)[None]}, Rounds.exactly(2))
    assert "cuGraphInstantiateWithFlags failed" in describe_replays(found)["refused"]
