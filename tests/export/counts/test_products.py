"""Products are counted as the sizes of a graph's tensors say."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from spair.export.counts.products import count_products


class Mixed(torch.nn.Module):
    """Convolutions of all kinds, and a matrix product."""

    def __init__(self):
        super().__init__()
        self.down = torch.nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.grouped = torch.nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.up = torch.nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1)
        self.last = torch.nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.up(self.grouped(self.down(x))).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_a_networks_products_are_those_that_torch_counts(tmp_path):
    module, image = Mixed().eval(), torch.zeros(1, 3, 32, 32)
    path = tmp_path / "mixed.onnx"
    axes = {"x": {2: "height", 3: "width"}}
    torch.onnx.export(module, (image,), str(path), input_names=["x"], dynamic_axes=axes, dynamo=False)
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 3, 64, 64))
    assert count_products(onnx.load(path), 64) == pytest.approx(counter.get_total_flops() / 2 / 64**2, rel=1e-12)


def make(node, weight, out, size=("height", "width"), **more):
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *size])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, out)
    stored = [numpy_helper.from_array(weight, "w")]
    graph = helper.make_graph(node, "g", [given], [made], stored, **more)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


CONV = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
WEIGHT = np.zeros((5, 3, 3, 3), np.float32)


def test_a_graph_of_fixed_size_is_counted_for_its_own_pixels():
    for size in (("height", "width"), (20, 30)):
        assert count_products(make([CONV], WEIGHT, [1, 5, *size], size), 16) == 5 * 3 * 9


def test_sizes_that_cannot_be_inferred_leave_the_count_unknown():
    unknown = helper.make_node("Mystery", ["x"], ["z"], domain="other")
    matrix = helper.make_node("MatMul", ["z", "w"], ["y"])
    model = make([unknown, matrix], np.zeros((4, 5), np.float32), ["a", "b"])
    model.opset_import.append(helper.make_opsetid("other", 1))
    assert count_products(model, 16) is None


def test_a_loop_leaves_the_count_unknown():
    body = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["inner"], pads=[1, 1, 1, 1])],
        "then", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )  # fmt: skip
    branch = helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)
    model = make([branch], WEIGHT, [1, 5, "height", "width"])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    assert count_products(model, 16) is None
