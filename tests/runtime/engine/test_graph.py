"""An engine as a graph takes and gives named arrays, and a graph on demand opens once."""

import threading

import numpy as np
import pytest

from spair.runtime.cuda import open_cuda
from spair.runtime.engine.graph import EngineGraph, GraphOnDemand
from spair.runtime.engine.pool import SlotPool
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.engine.tensorrt import TensorRT
from spair.runtime.graphs import THRESHOLD
from spair.runtime.tiling.spec import find_logit
from tests.runtime.engine.conftest import name_package

OWN = np.array([find_logit(0.35)], np.float32)


@pytest.fixture
def graph(gpu, trt, plans):
    cuda = open_cuda("pycuda")
    with cuda.current():
        engine = TensorRT(name_package(trt)).open_runtime(None).load_engine(plans["net_l"], "x.engine")
    pool = SlotPool(cuda, engine, lead="image", slots=1, options=SlotOptions())
    graph = EngineGraph(engine.tensors, pool, {THRESHOLD: OWN, "unknown": OWN})
    yield graph
    graph.close()


def test_names_types_and_sizes(graph):
    assert graph.inputs == {"image": "tensor(float)"}
    assert set(graph.outputs) == {"mask", "f0", "f1", "f2"}
    assert graph.largest["image"] == (1, 3, 512, 512)


def test_an_input_with_a_default_may_be_given(graph):
    """The lower the threshold, the more is marked."""
    assert graph.optional == {THRESHOLD: "tensor(float)"}
    image = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    shares = [graph.run({"image": image, THRESHOLD: OWN + step})["mask"].mean() for step in (-4, 0, 4)]
    assert shares[0] > shares[1] > shares[2]
    assert graph.run({"image": image})["mask"].mean() == shares[1]


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_floats_of_any_kind_are_converted(graph, dtype):
    image = np.full((1, 3, 16, 24), 0.25)  # exact in every type
    image[..., 5] = 0.75
    expected = graph.run({"image": image.astype(np.float32)})
    values = graph.run({"image": image.astype(dtype)})
    for name in graph.outputs:
        np.testing.assert_array_equal(values[name], expected[name])
        assert values[name].dtype == np.float32
    assert values["f1"].shape[2:] == (8, 12)


@pytest.mark.parametrize("feeds", [{}, {"picture": 1}, {"image": 1, "mask": 2}])
def test_other_names_are_refused(graph, feeds):
    with pytest.raises(ValueError, match=r"the engine takes \['image'\], got"):
        graph.run(feeds)


class Opened:
    inputs, outputs, largest = {"image": "tensor(float)"}, ("mask",), {"image": (1, 3, 8, 8)}

    def __init__(self, log):
        self.log = log
        log.append("open")

    def run(self, feeds):
        return feeds

    def close(self):
        self.log.append("close")


def test_a_graph_on_demand_opens_once_for_all_threads():
    log: list[str] = []
    graph = GraphOnDemand(lambda: Opened(log))
    assert log == []
    threads = [threading.Thread(target=graph.run, args=({},)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (graph.inputs, graph.outputs, graph.largest) == (Opened.inputs, Opened.outputs, Opened.largest)
    graph.close()
    graph.close()
    assert log == ["open", "close"]


def test_a_graph_that_was_never_run_is_never_opened():
    log: list[str] = []
    graph = GraphOnDemand(lambda: Opened(log))
    graph.close()
    assert log == []
    with pytest.raises(ValueError, match="was closed"):
        graph.run({})
