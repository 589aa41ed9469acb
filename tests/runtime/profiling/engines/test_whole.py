"""The whole engine is timed plainly, as a graph and with all slots, and on pictures of several densities."""

import itertools
import threading

import numpy as np
import pytest

from spair.runtime.engine.errors import EngineError
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.profiling.engines.runs import FIRST, Rounds
from spair.runtime.profiling.engines.whole import make_feeds, measure_pictures, measure_steps, measure_together
from tests.runtime.engine.pictures import draw

TWO = Rounds.exactly(2)


def test_plain_runs_come_before_the_graph_and_each_has_a_slot(gpu, network):
    feeds = make_feeds(network.whole, draw(24, 32))
    gpu.heal()
    found, plain = measure_steps(network.whole, feeds, SlotOptions(), TWO)
    assert found["plain"]["runs"] == found["graph"]["runs"] == len(plain.times) == 2
    assert found["graph"]["refused"] is None and not plain.replayed
    order = [name for name in gpu.calls if name in ("cuStreamCreate", "cuStreamBeginCapture_v2", "cuStreamDestroy_v2")]
    assert order == [
        "cuStreamCreate", "cuStreamDestroy_v2", "cuStreamCreate", "cuStreamBeginCapture_v2", "cuStreamDestroy_v2",
    ]  # fmt: skip


def test_a_picture_is_one_of_a_batch(network):
    picture = draw(24, 32)[:, ::2]
    feeds = make_feeds(network.whole, picture)
    assert feeds["image"].flags.c_contiguous and (feeds["image"][0] == picture).all()


class CountingGraph:
    """Graph that counts its runs, by thread."""

    def __init__(self, fails=False):
        self.threads, self._fails = [], fails

    def run(self, feeds):
        if self._fails:
            raise EngineError("refused")
        self.threads.append(threading.get_ident())


@pytest.mark.parametrize(("slots", "least", "each"), [(1, 5, 5), (2, 5, 3), (3, 1, 1)])
def test_all_threads_share_the_pictures(slots, least, each):
    graph, clock = CountingGraph(), itertools.count()
    found = measure_together(graph, {}, slots, Rounds.exactly(least), lambda: float(next(clock)))
    assert len(graph.threads) == slots * (FIRST + each)
    assert (found["slots"], found["pictures"]) == (slots, slots * each)
    assert found["per_second"] == pytest.approx(found["pictures"] / found["seconds"], abs=1e-3)


def test_a_clock_that_stands_still_gives_no_rate():
    assert measure_together(CountingGraph(), {}, 1, TWO, lambda: 0.0)["per_second"] is None


def test_what_one_thread_is_refused_is_raised():
    with pytest.raises(EngineError, match="refused"):
        measure_together(CountingGraph(fails=True), {}, 2, TWO)


def test_the_slots_of_the_restorer_are_used(gpu, network):
    found = measure_together(network.whole, make_feeds(network.whole, draw(24, 32)), 2, TWO)
    assert found["pictures"] == 2 and gpu.live()["streams"] <= 2


def test_rows_have_the_density_that_the_engine_found(network):
    picture = draw(48, 64)
    rows = measure_pictures(network.whole, picture, [0.0, 0.05, 1.0], SlotOptions(), TWO)
    asked = [row["asked"] for row in rows]
    assert None in asked and len(rows) >= 2 and len(set(asked)) == len(rows)
    assert [row["density"] for row in rows] == sorted(row["density"] for row in rows)
    (own,) = (row["density"] for row in rows if row["asked"] is None)
    mask = network.whole.run(make_feeds(network.whole, picture))["mask"]
    assert own == pytest.approx(mask.mean(), abs=1e-6) and 0 < own < 1
    assert all(row["runs"] == 2 and "p99" in row["compute_ms"] for row in rows)


def test_a_clean_picture_is_timed_alone(network):
    (row,) = measure_pictures(network.whole, np.zeros((24, 32, 3), np.uint8), [0.0, 0.5], SlotOptions(), TWO)
    assert (row["asked"], row["density"]) == (None, 0.0)
