"""Small graphs for plans.

They are no restoration networks, but each output depends on each input, and mistakes of shape or place change it.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
MOST = 255.0


def make_network() -> onnx.ModelProto:
    """Return image [N,3,H,W] -> restored [N,3,H,W], mask [N,1,H,W]; all float32."""
    nodes, weights = _make_body("image", "restored", "mask")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])
    restored = helper.make_tensor_value_info("restored", TensorProto.FLOAT, ["N", 3, "H", "W"])
    mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 1, "H", "W"])
    return _make_model(nodes, [image], [restored, mask], weights)


def make_bytes_network() -> onnx.ModelProto:
    """Return a graph that takes and gives bytes.

    Input: image uint8 [N,H,W,3]. Outputs: restored uint8 [N,H,W,3], mask uint8 [N,H,W] with 0 or 1.
    """
    body, weights = _make_body("scaled", "restored_float", "mask_float")
    make = helper.make_node
    before = [
        make("Cast", ["image"], ["image_float"], "to_float", to=TensorProto.FLOAT),
        make("Div", ["image_float", "most"], ["image_scaled"], "scale"),
        make("Transpose", ["image_scaled"], ["scaled"], "to_planes", perm=[0, 3, 1, 2]),
    ]
    after = [
        make("Mul", ["restored_float", "most"], ["restored_bytes"], "unscale"),
        make("Clip", ["restored_bytes", "least", "most"], ["restored_clipped"], "clip"),
        make("Round", ["restored_clipped"], ["restored_whole"], "round"),
        make("Cast", ["restored_whole"], ["restored_planes"], "to_bytes", to=TensorProto.UINT8),
        make("Transpose", ["restored_planes"], ["restored"], "to_pixels", perm=[0, 2, 3, 1]),
        make("Cast", ["mask_float"], ["mask_bytes"], "mask_to_bytes", to=TensorProto.UINT8),
        make("Squeeze", ["mask_bytes", "axis"], ["mask"], "drop_channel"),
    ]
    weights += [
        numpy_helper.from_array(np.float32(0), "least"),
        numpy_helper.from_array(np.float32(MOST), "most"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    restored = helper.make_tensor_value_info("restored", TensorProto.UINT8, ["N", "H", "W", 3])
    mask = helper.make_tensor_value_info("mask", TensorProto.UINT8, ["N", "H", "W"])
    return _make_model([*before, *body, *after], [image], [restored, mask], weights)


def make_part() -> onnx.ModelProto:
    """Return a graph with several inputs and outputs.

    Inputs: x [N,3,H,W], mask [N,1,H,W], keys [N,8,G,G], shift [N,3,1,1]. Outputs: features [N,8,H/2,W/2] and
    sum [N,3,1,1]; the names of their axes do not say the sizes. All are float32.
    """
    random = np.random.default_rng(1)
    weights = [numpy_helper.from_array(0.3 * random.standard_normal((8, 4, 2, 2)).astype(np.float32), "kernel")]
    make = helper.make_node
    nodes = [
        make("Add", ["x", "shift"], ["shifted"], "add_shift"),
        make("Concat", ["shifted", "mask"], ["joined"], "join", axis=1),
        make("Conv", ["joined", "kernel"], ["halved"], "halve", strides=[2, 2]),
        make("ReduceMean", ["keys"], ["mean"], "mean_of_keys"),
        make("Mul", ["halved", "mean"], ["features"], "weigh"),
        make("GlobalAveragePool", ["shifted"], ["sum"], "average"),
    ]
    shapes = {"x": ["N", 3, "H", "W"], "mask": ["N", 1, "H", "W"], "keys": ["N", 8, "G", "G"], "shift": ["N", 3, 1, 1]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 8, "half_H", "half_W"]),
        helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["N", 3, 1, 1]),
    ]
    return _make_model(nodes, inputs, outputs, weights)


def _make_body(image: str, restored: str, mask: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return two convolutions; the mask is made of their result."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array((0.3 * random.standard_normal(shape)).astype(np.float32), name)
        for name, shape in {"first": (8, 3, 3, 3), "second": (3, 8, 3, 3)}.items()
    ]
    weights.append(numpy_helper.from_array(np.float32(0.5), "threshold"))
    make = helper.make_node
    nodes = [
        make("Conv", [image, "first"], ["wide"], "first_layer", pads=[1, 1, 1, 1]),
        make("Relu", ["wide"], ["positive"], "relu"),
        make("Conv", ["positive", "second"], ["change"], "second_layer", pads=[1, 1, 1, 1]),
        make("ReduceMean", ["change"], ["level"], "level", axes=[1], keepdims=1),
        make("Greater", ["level", "threshold"], ["distorted"], "compare"),
        make("Cast", ["distorted"], [mask], "to_mask", to=TensorProto.FLOAT),
        make("Mul", ["change", mask], ["kept"], "keep_mask"),
        make("Add", [image, "kept"], [restored], "restore"),
    ]
    return nodes, weights


def _make_model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: list[onnx.TensorProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "network", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model
