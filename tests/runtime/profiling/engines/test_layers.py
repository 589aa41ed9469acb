"""Layers are timed in runs of their own, and told apart by their place."""

from contextlib import closing

import onnx
import pytest

from spair.export.passes.pixels import TakePixels
from spair.runtime.bundle.reader import Bundle
from spair.runtime.engine.opening import open_engines
from spair.runtime.profiling.engines.layers import RUNS, LayerWatch, measure_layers
from tests.emulated.double.world import LAYER_TIME
from tests.runtime.engine.conftest import list_profile
from tests.runtime.engine.pictures import draw


def test_layers_of_one_name_are_told_apart():
    watch = LayerWatch()
    for times in ((1.0, 2.0, 3.0), (1.5, 2.5, 3.5)):
        for name, ms in zip(("conv", "conv", "add"), times, strict=True):
            watch.receive(name, ms)
        watch.end_run()
    assert watch.names == ["conv", "conv", "add"] and watch.count == 2
    assert watch.times == [[1.0, 1.5], [2.0, 2.5], [3.0, 3.5]]


def test_no_layer_is_no_run():
    assert LayerWatch().count == 0


def test_times_are_means_of_runs_without_a_graph(gpu, network):
    gpu.heal()
    found = measure_layers(network.whole, {"image": draw(24, 32)[None]})
    assert "cuStreamBeginCapture_v2" not in gpu.calls
    assert (found["runs"], found["detailed"]) == (RUNS, True)
    layers, count = found["layers"], len(found["layers"])
    # The emulated layers take one, two, three ... times as long as the first.
    assert [layer["ms"] for layer in layers[:3]] == pytest.approx([LAYER_TIME, 2 * LAYER_TIME, 3 * LAYER_TIME])
    assert found["ms"] == pytest.approx(LAYER_TIME * count * (count + 1) / 2, rel=1e-3)
    assert sum(layer["share"] for layer in layers) == pytest.approx(1.0, abs=1e-5 * count)
    assert layers[0]["total_ms"] == pytest.approx(RUNS * LAYER_TIME, abs=1e-5)
    assert "Conv" in {layer["type"] for layer in layers}
    assert [layer["name"] for layer in layers] == [layer["Name"] for layer in found["information"]["Layers"]]


def test_an_engine_with_names_only_has_no_types(engine_bundles, shipped, write_plan):
    model = onnx.load(str(Bundle.open(shipped).graph("fp32", "model")))
    TakePixels()(model)
    engine_bundles._plans = {
        **engine_bundles._plans, "model": write_plan(model, [list_profile(model, "model")], detailed=False)
    }  # fmt: skip
    with closing(open_engines(engine_bundles.make(), "fp32").open_network()) as network:
        found = measure_layers(network.whole, {"image": draw(24, 32)[None]})
    assert found["detailed"] is False and {layer["type"] for layer in found["layers"]} == {None}
