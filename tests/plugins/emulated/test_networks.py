"""Whole modules and the whole network: every `spair` node of an exported graph through the plugin library."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from spair.export.counts.traffic import list_launches
from spair.export.engines.graph import rewrite_for_plugins
from spair.export.graphs import GraphSpec, export_graph, operator_counts, spair_graphs
from spair.network import SPAIR, Preset
from spair.network.restoration import SparseConvolutionModule
from tests.plugins.emulated.launches import launching
from tests.plugins.emulated.network import evaluator

LAYOUTS = [pytest.param(False, id="linear"), pytest.param(True, id="pixels")]


def streaks(height: int, width: int, batch: int = 1) -> np.ndarray:
    """A mask of slanted lines: [N,1,H,W]."""
    rows, columns = np.mgrid[:height, :width]
    mask = ((rows + 2 * columns) % 7 < 2).astype(np.float32)
    return np.broadcast_to(mask, (batch, 1, height, width)).copy()


@pytest.fixture(scope="module")
def module_graph() -> onnx.ModelProto:
    """A sparse convolution module (SCM) with weights that matter."""

    class Stack(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scm = SparseConvolutionModule(20, 2)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.scm(x, mask)

    torch.manual_seed(0)
    stack = Stack()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.normal_(0.0, 0.08)
    example = {"x": (torch.rand(2, 20, 16, 24), 1), "mask": (torch.ones(2, 1, 16, 24), 1)}
    return export_graph(GraphSpec(stack, example, ("out",), 8, False))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("pixels", LAYOUTS)
def test_a_whole_sparse_convolution_module_equals_onnx_runtime(host, module_graph, pixels):
    counted: Counter[str] = Counter()
    mask = streaks(16, 24, 2)
    x = np.random.default_rng(0).standard_normal((2, 20, 16, 24)).astype(np.float32) * mask
    (out,) = evaluator(module_graph, host, pixels=pixels, counted=counted).run(None, {"x": x, "mask": mask})
    session = onnxruntime.InferenceSession(module_graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x, "mask": mask})
    assert counted == {"SparseConv2d": 4}
    # four layers deep, 180 terms each, values of order 1: 4 * 180 * 2^-24 = 4e-5 at worst
    np.testing.assert_allclose(out, expected, atol=4e-5)
    assert np.abs(out - x).max() > 0.1, "the module does nothing"


@pytest.fixture(scope="module")
def network_graph() -> onnx.ModelProto:
    """The whole network, narrow so that the interpreter is done with it in seconds; masks neither empty nor full."""
    torch.manual_seed(1)
    model = SPAIR(Preset("narrow", (8, 8, 8), 4, (8, 12, 16), (1, 1, 1), 8, 4)).eval()
    with torch.no_grad():
        for name, parameter in model.net_r.named_parameters():
            if name.endswith(("second.weight", "out.weight")):  # zero at the start of training
                parameter.normal_(0.0, 0.1)
        logits, _ = model.net_l(torch.rand(1, 3, 24, 16))
        head = model.net_l.head.bias
        assert head is not None
        head[:4] += model.logit_threshold - logits.quantile(0.7)  # the four sub-pixels of the logit channel
    return export_graph(spair_graphs(model)["model"])


@pytest.fixture(scope="module")
def engine_graph(network_graph: onnx.ModelProto) -> onnx.ModelProto:
    """Graph of the network, prepared as for engines."""
    graph = onnx.ModelProto.FromString(network_graph.SerializeToString())
    rewrite_for_plugins(graph)
    return graph


@pytest.mark.sampled(3)
@pytest.mark.parametrize("pixels", LAYOUTS)
@pytest.mark.parametrize("form", ["network_graph", "engine_graph"])
def test_the_whole_network_equals_onnx_runtime(host, network_graph, form, pixels, request):
    graph = request.getfixturevalue(form)
    image = np.random.default_rng(1).random((1, 3, 24, 16), np.float32)
    counted: Counter[str] = Counter()
    with launching(host) as seen:
        restored, mask = evaluator(graph, host, pixels=pixels, counted=counted).run(None, {"image": image})
    assert seen.sum_up_to(list_launches(graph)), "what `spair build` reports is what is launched"
    session = onnxruntime.InferenceSession(network_graph.SerializeToString(), providers=["CPUExecutionProvider"])
    expected, expected_mask = session.run(None, {"image": image})
    assert counted == operator_counts([graph])
    ending = "Listed" if form == "engine_graph" else ""
    assert {f"SparseConv2d{ending}", "MaskedModulation", f"SparseNonLocal{ending}"} <= set(counted)
    assert 0 < expected_mask.mean() < 1
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(restored, expected, atol=2e-5)  # the gate of the export is 1e-4
    clean = np.broadcast_to(mask == 0, restored.shape)
    np.testing.assert_array_equal(restored[clean], image[clean])
    assert np.abs(restored - image).max() > 0.01, "the network does nothing"
