"""Engines with compiled plugins equal ONNX Runtime."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import onnx
import pytest

from spair.export.engines.graph import prepare_engine_graph
from spair.runtime.bundle.reader import Bundle
from spair.runtime.shipped import resolve_model
from tests.emulated.double.execution import RefusalError
from tests.emulated.fixtures import BINDINGS
from tests.emulated.plugins.cutting import DOMAIN, Piece, PluginStep, cut_graph
from tests.emulated.plugins.libraries import PluginLibraries
from tests.emulated.plugins.node import PluginNode
from tests.emulated.runner.device import Device, RunError
from tests.emulated.runner.engine_runner import EngineRunner
from tests.emulated.runner.slot import Slot
from tests.emulated.setup.opening import run_onnx
from tests.plugins.conftest import header_folders, kernel_settings, plugin_library, plugins  # noqa: F401
from tests.plugins.emulated.conftest import harness  # noqa: F401

SHAPE = (1, 3, 8, 8)


class WarmSlot(Slot):
    """Slot with a single run before its capture."""

    def _warm_up(self, runs):
        super()._warm_up(min(runs, 1))


def draw_streaks():
    """Return a picture with bright columns."""
    picture = np.clip(np.random.default_rng(0).normal(0.4, 0.05, SHAPE), 0, 1)
    picture[..., ::5] += 0.4
    return picture.astype(np.float32)


@pytest.fixture
def libraries(gpu, world, harness, plugin_library, monkeypatch):  # noqa: F811
    """Loader of the compiled library, on the device that it was built for."""
    made = PluginLibraries(gpu, harness)
    monkeypatch.setattr(world, "libraries", made)
    gpu.set(sm=89)
    return made


@pytest.fixture(scope="module")
def path():
    """Graph of the shipped network for rain."""
    return Bundle.open(resolve_model("rain")).graph("fp32", "model")


@pytest.fixture(scope="module")
def engine_graph(path):
    """Graph from which engines are built."""
    return onnx.load_from_string(prepare_engine_graph(path))


@pytest.fixture
def plan(engine_graph, write_plan):
    return write_plan(engine_graph, [{"image": ((1, 3, 1, 1), SHAPE, (1, 3, 32, 24))}], plugins=True)


def test_an_engine_without_its_plugins_is_refused(device, trt, plan):
    with pytest.raises(RunError, match="does not take the engine"):
        EngineRunner(trt, device, plan, {"image": SHAPE})


def test_a_library_that_does_not_open_is_refused(device, trt, libraries, plan, tmp_path):
    path = tmp_path / "libspair_plugins.so"
    path.write_bytes(b"no library")
    with pytest.raises(RunError, match="does not load the plugin library"):
        EngineRunner(trt, device, plan, {"image": SHAPE}, library=path)


def test_an_engine_with_plugins_equals_onnx_runtime(
    device,
    trt,
    libraries,
    plan,
    plugin_library,  # noqa: F811
    path,
    engine_graph,
):
    picture = draw_streaks()
    runner = EngineRunner(trt, device, plan, {"image": SHAPE}, library=plugin_library, slot=WarmSlot)
    launched = len(libraries.launches)
    out = runner.run({"image": picture})
    assert runner.slots[0].captured
    runner.close()
    expected = run_onnx(onnx.load(path), {"image": picture})
    assert 0 < expected["mask"].mean() < 1
    np.testing.assert_array_equal(out["mask"], expected["mask"])
    np.testing.assert_allclose(out["restored"], expected["restored"], rtol=0, atol=2e-5)
    assert np.abs(expected["restored"] - picture).max() > 0.01, "the network does nothing"
    nodes = Counter(node.domain for node in engine_graph.graph.node)[DOMAIN]
    assert launched >= 2 * nodes and len(libraries.launches) == launched, "a replay launches nothing anew"


@pytest.mark.skipif(BINDINGS in os.environ, reason="does not depend on the bindings; runs on the double")
def test_a_new_context_gets_code_of_its_own(gpu, trt, libraries, plan, path, request):
    """The first context is gone, with the code that the library loaded into it."""
    picture, library = draw_streaks(), request.getfixturevalue("plugin_library")
    for is_first in (True, False):
        device = Device()
        runner = EngineRunner(trt, device, plan, {"image": SHAPE}, library=library, graph=False)
        out = None if is_first else runner.run({"image": picture})
        runner.close()
        device.close()
    np.testing.assert_array_equal(out["mask"], run_onnx(onnx.load(path), {"image": picture})["mask"])


@pytest.mark.parametrize(
    ("method", "refusal"),
    [("attach", "makes no execution context"), ("_add_tensor", "does not take the engine")],
)
def test_a_plugin_that_refuses_is_heard(request, device, trt, libraries, plan, capfd, method, refusal, monkeypatch):
    library = request.getfixturevalue("plugin_library")

    def refuse(*_):
        raise RefusalError("SparseConv2d: no code for this device")

    monkeypatch.setattr(PluginNode, method, refuse)
    with pytest.raises(RunError, match=refusal):
        EngineRunner(trt, device, plan, {"image": SHAPE}, library=library)
    assert "no code for this device" in "".join(capfd.readouterr())


def test_a_graph_is_cut_at_its_plugins(engine_graph):
    steps = cut_graph(engine_graph, 1)
    made = {"image"} | {part.name for part in engine_graph.graph.initializer}
    for step in steps:
        assert {name for name in step.inputs if name} <= made
        made |= set(step.outputs)
    assert {value.name for value in engine_graph.graph.output} <= made
    plugins_of_graph = [node.name for node in engine_graph.graph.node if node.domain == DOMAIN]
    assert [step.node.name for step in steps if isinstance(step, PluginStep)] == plugins_of_graph
    assert any(isinstance(step, Piece) for step in steps)
