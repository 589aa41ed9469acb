"""The executor that runs exported graphs on a GPU without TensorRT, here on the CPU with the emulated driver."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from benchmarks.gpu.harness.executor import Executor, dense_operator
from benchmarks.gpu.harness.plugin_nodes import PluginNode, make_pixels, to_pixels
from tests.plugins.emulated.test_networks import engine_graph, network_graph  # noqa: F401


def reference(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["restored", "mask"], {"image": image})


def test_a_graph_with_plugins_equals_onnx_runtime(torch_host, network_graph, engine_graph):  # noqa: F811
    executor = Executor(engine_graph, "cpu", lambda name, attributes: PluginNode(torch_host, name, attributes))
    random = np.random.default_rng(1)
    for shape in ((1, 3, 24, 16), (1, 3, 24, 16), (2, 3, 9, 17)):  # prepared, run again, and prepared for another shape
        image = random.random(shape, np.float32)
        outputs = executor.run(torch.from_numpy(image))
        assert not torch_host.driver.problems, torch_host.driver.problems
        restored, mask = reference(network_graph, image)
        np.testing.assert_array_equal(outputs["mask"].numpy(), mask)
        np.testing.assert_allclose(outputs["restored"].numpy(), restored, rtol=0, atol=2e-5)
        assert np.abs(restored - image).max() > 0.01, "the network does nothing"


@pytest.mark.parametrize("form", ["network_graph", "engine_graph"])
def test_a_graph_on_all_pixels_equals_onnx_runtime(network_graph, form, request):  # noqa: F811
    executor = Executor(request.getfixturevalue(form), "cpu", dense_operator)
    for seed in (1, 2):
        image = np.random.default_rng(seed).random((1, 3, 21, 16), np.float32)
        outputs = executor.run(torch.from_numpy(image))
        restored, mask = reference(network_graph, image)
        np.testing.assert_array_equal(outputs["mask"].numpy(), mask)
        np.testing.assert_allclose(outputs["restored"].numpy(), restored, rtol=0, atol=2e-5)


def test_a_node_that_is_not_known_is_named():
    node = onnx.helper.make_node("Erf", ["image"], ["out"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))
    with pytest.raises(ValueError, match="the graph has a node Erf, known here are Add"):
        Executor(model, "cpu", dense_operator)


def test_a_plugin_that_refuses_its_attributes_says_why(torch_host):
    node = PluginNode(torch_host, "MaskedModulation", {"eps": 0.0})
    with pytest.raises(RuntimeError, match="eps is 0.000000, expected a positive number"):
        node([torch.zeros(1, 3, 4, 5), torch.zeros(1, 1, 4, 5)])


@pytest.mark.parametrize(("dtype", "pitch"), [(torch.float32, 11), (torch.float16, 16)])
def test_pictures_lie_as_the_plugins_have_them(dtype, pitch):
    x = torch.rand(2, 11, 3, 5).to(dtype)
    placed = to_pixels(x)
    assert torch.equal(placed, x)
    assert placed.stride() == (15 * pitch, 1, 5 * pitch, pitch)
    assert to_pixels(placed).data_ptr() == placed.data_ptr()
    assert make_pixels(x.shape, dtype, "cpu").stride() == placed.stride()
