"""Real engines, built by TensorRT-RTX without a GPU: each `spair` node a plugin, everything else as it was."""

from __future__ import annotations

import importlib.resources
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.counts.layers import find_layers
from spair.export.engines.builder import build_engine, check_layers, read_nodes
from spair.export.engines.child.process import make_environment
from spair.export.engines.child.worker import write_out_bodies
from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.options import EngineOptions
from spair.export.engines.tuning.tilings import name_layer
from spair.export.operators.bodies import IR_VERSION, OPSET, add_function_bodies
from spair.plugins.compiler.targets import find_target
from spair.runtime.errors import GateError, UserError

PRECISIONS = ("fp32", "fp16", "int8")
PLUGIN = {"plugin_version": "1", "plugin_namespace": "spair"}
SMALL = EngineOptions((64, 48), (96, 80), batch=2)


def make_graph(path: Path, precision: str = "fp32", *, plugin: bool = True) -> Path:
    """All three operators between standard ones, dynamic in N, H and W, with the function bodies.

    As in calibrated bundles, statistics and attention are FP32, the convolution is of the precision.
    """
    random = np.random.default_rng(0)
    kind, dtype = (TensorProto.FLOAT, np.float32) if precision == "fp32" else (TensorProto.FLOAT16, np.float16)
    constants = {
        "axis": np.asarray([1], np.int64),
        "half": np.asarray(0.5, np.float32),
        **{name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in (
            ("w0", (16, 3, 3, 3)), ("b0", (16,)), ("w2", (3, 16, 3, 3)), ("b2", (3,)),
        )},
        "w1": random.normal(0, 0.3, (16, 16, 3, 3)).astype(dtype),
        "b1": random.normal(0, 0.3, 16).astype(dtype),
        "w8": random.integers(-127, 128, (16, 16, 3, 3)).astype(np.int8),
        "x_scale": np.asarray(0.02, np.float32),
        "w_scale": np.full(16, 0.003, np.float32),
        "zero": np.asarray(0, np.int8),
    }  # fmt: skip

    def node(operator: str, inputs: str, output: str, domain: str = "", **attributes: object) -> onnx.NodeProto:
        own = {**attributes, **PLUGIN} if domain and plugin else attributes
        return helper.make_node(operator, inputs.split(), [output], name=f"n_{output}", domain=domain, **own)

    sparse = {"pads": [1, 1, 1, 1], "negative_slope": 0.1, "clean_input": 0.0}
    casts = [node("Cast", "modulated", "m", to=kind), node("Cast", "mask", "small_mask", to=kind)]
    convolution = node("SparseConv2d", "m small_mask w1 b1", "s", "spair", **sparse)
    if precision == "int8":
        casts[0] = node("QuantizeLinear", "modulated x_scale zero", "m")
        convolution = node("SparseConv2dInt8", "m small_mask w8 b1 x_scale w_scale", "s", "spair", **sparse)
    nodes = [
        node("ReduceMax", "image axis", "top", keepdims=1),
        node("Greater", "top half", "above"),
        node("Cast", "above", "mask", to=TensorProto.FLOAT),
        node("Conv", "image w0 b0", "f", pads=[1, 1, 1, 1]),
        node("MaskedModulation", "f mask", "modulated", "spair", eps=1e-5),
        *casts,
        convolution,
        node("Cast", "s", "queries", to=TensorProto.FLOAT),
        node("AveragePool", "f", "keys", kernel_shape=[8, 8], strides=[8, 8]),
        node("AveragePool", "mask", "dirt", kernel_shape=[8, 8], strides=[8, 8]),
        node("Less", "dirt half", "few"),
        node("Cast", "few", "clean", to=TensorProto.FLOAT),
        node("SparseNonLocal", "queries keys keys mask clean", "attended", "spair", scale=0.25),
        node("Conv", "attended w2 b2", "restored", pads=[1, 1, 1, 1]),
    ]
    read = {name for step in nodes for name in step.input}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in read],
    )
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("spair", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    add_function_bodies(model)
    onnx.save(model, path)
    return path


@pytest.fixture
def rtx():
    """TensorRT-RTX, without which no engine is built here."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed: pip install 'spair-rt[rtx]'")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_operator_becomes_a_plugin_in_an_engine(rtx, plugins, tmp_path, precision):
    engine = build_engine(make_graph(tmp_path / "g.onnx", precision), plugins.path, plugins.target, SMALL)
    assert engine.plugin_layers == 3
    assert engine.layers >= len(onnx.load(tmp_path / "g.onnx").graph.node)
    assert engine.plan[:4] == b"vtrt"


def test_the_parser_hands_a_tiling_to_its_plugin_which_stores_it_in_the_engine(rtx, plugins, tmp_path):
    source = make_graph(tmp_path / "g.onnx")
    model = onnx.load_from_string(prepare_engine_graph(source))
    ((_, layer),) = find_layers(model)
    plans = []
    for tilings in ({}, {name_layer(layer): "m128n16w8s2"}):
        graph = tmp_path / "tiled.onnx"
        graph.write_bytes(prepare_engine_graph(source, tilings=tilings))
        engine = build_engine(graph, plugins.path, plugins.target, SMALL)
        assert engine.plugin_layers == 4  # with the list of pixels
        plans.append(engine.plan)
    assert [plan.count(b"m128n16w8s2") > 0 for plan in plans] == [False, True]


def test_without_the_library_the_same_file_builds_through_its_bodies(rtx, plugins, tmp_path):
    graph = make_graph(tmp_path / "g.onnx")
    with_plugins = build_engine(graph, plugins.path, plugins.target, SMALL)
    without = build_engine(graph, None, plugins.target, SMALL)
    assert without.plugin_layers == 0
    assert without.layers > with_plugins.layers, "a body is many layers"


@pytest.fixture(scope="module")
def shipped_graph(tmp_path_factory) -> Path:
    """The whole network of the shipped checkpoint."""
    from spair.export.graphs import export_graph, spair_graphs
    from spair.network import load_checkpoint

    checkpoint = Path(str(importlib.resources.files("spair.network.weights") / "rain-tiny.safetensors"))
    path = tmp_path_factory.mktemp("shipped") / "model.onnx"
    onnx.save(export_graph(spair_graphs(load_checkpoint(checkpoint).model)["model"]), path)
    return path


@pytest.mark.whole
def test_the_shipped_network_builds(rtx, plugins, shipped_graph):
    engine = build_engine(shipped_graph, plugins.path, plugins.target, EngineOptions())
    nodes = onnx.load(shipped_graph).graph.node
    assert engine.plugin_layers == sum(node.domain == "spair" for node in nodes) == 25


WIRING = """
import json, pathlib, sys, tensorrt_rtx as trt
log = trt.Logger(trt.Logger.ERROR)
network = trt.Builder(log).create_network(0)
parser = trt.OnnxParser(network, log)
assert parser.parse(pathlib.Path(sys.argv[1]).read_bytes())
layers = [network.get_layer(index) for index in range(network.num_layers)]
makers = {network.get_input(index).name: [-1, index] for index in range(network.num_inputs)}
for index, layer in enumerate(layers):
    makers |= {layer.get_output(slot).name: [index, slot] for slot in range(layer.num_outputs)}
assert len(makers) == network.num_inputs + sum(layer.num_outputs for layer in layers), "names are unique"
tensors = [[layer.get_input(slot) for slot in range(layer.num_inputs)] for layer in layers]
read = [[tensor and makers[tensor.name] for tensor in inputs] for inputs in tensors]
ends = [makers[network.get_output(index).name] for index in range(network.num_outputs)]
print(json.dumps([[str(layer.type) for layer in layers], read, ends]))
"""
"""Prints every layer's type, which layer made each of its inputs, and which made the outputs."""


def read_wiring(graph: Path, folder: Path) -> list:
    folder.mkdir()
    environment = make_environment("tensorrt_rtx", folder)
    command = [sys.executable, "-c", WIRING, str(graph)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def test_bodies_used_many_times_are_wired_as_if_they_were_written_out(rtx, shipped_graph, tmp_path):
    (tmp_path / "plain.onnx").write_bytes(write_out_bodies(shipped_graph.read_bytes()))
    assert not onnx.load(tmp_path / "plain.onnx").functions
    types, read, ends = read_wiring(shipped_graph, tmp_path / "a")
    assert [types, read, ends] == read_wiring(tmp_path / "plain.onnx", tmp_path / "b")
    assert types.count("LayerType.CONVOLUTION") > 25


def repeat_convolution(graph: Path) -> onnx.ModelProto:
    """The INT8 graph with its convolution twice."""
    model = onnx.load(graph)
    (node,) = (node for node in model.graph.node if node.op_type == "SparseConv2dInt8")
    again = onnx.NodeProto()
    again.CopyFrom(node)
    again.name, again.output[0] = "n_again", "again"
    model.graph.node.insert(list(model.graph.node).index(node) + 1, again)
    reader = next(other for other in model.graph.node if "s" in other.input)
    reader.input[0] = "again"
    return model


def chain_convolutions(graph: Path) -> None:
    """Let a second INT8 convolution quantize what the first of an INT8 graph makes."""
    model = onnx.load(graph)
    (first,) = (node for node in model.graph.node if node.op_type == "SparseConv2dInt8")
    reader = next(node for node in model.graph.node if "s" in node.input)
    reader.input[0] = "u"
    second = onnx.NodeProto()
    second.CopyFrom(first)
    second.name, second.output[0], second.input[0], second.input[4] = "n_u", "u", "t", "u_scale"
    place = list(model.graph.node).index(first) + 1
    model.graph.node.insert(place, helper.make_node("QuantizeLinear", ["s", "t_scale", "zero"], ["t"], name="n_t"))
    model.graph.node.insert(place + 1, second)
    scale = np.float16(0.02)
    arrays = {"t_scale": scale, "u_scale": scale.astype(np.float32), "zero": np.int8(0)}
    stored = {tensor.name for tensor in model.graph.initializer}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items() if name not in stored
    )
    next(part for part in model.opset_import if not part.domain).version = 19
    del model.functions[:]
    add_function_bodies(model)
    onnx.save(model, graph)


def test_convolutions_with_int8_between_them_are_plugins(rtx, plugins, tmp_path):
    graph = make_graph(tmp_path / "g.onnx", "int8")
    chain_convolutions(graph)
    graph.write_bytes(prepare_engine_graph(graph))
    names = [node.op_type for node in onnx.load(graph).graph.node if node.domain == "spair"]
    assert {"SparseConv2dInt8ToInt8Listed", "SparseConv2dInt8Listed"} <= set(names)
    assert build_engine(graph, plugins.path, plugins.target, SMALL).plugin_layers == len(names)


def test_bodies_are_written_out_since_the_parser_would_name_two_dequantizers_alike(rtx, plugins, tmp_path):
    onnx.save(repeat_convolution(make_graph(tmp_path / "g.onnx", "int8")), tmp_path / "g.onnx")
    content = (tmp_path / "g.onnx").read_bytes()
    plain = onnx.load_model_from_string(write_out_bodies(content))
    assert not plain.functions and not [node for node in plain.graph.node if node.domain]
    assert build_engine(tmp_path / "g.onnx", None, plugins.target, SMALL).plugin_layers == 0
    assert build_engine(tmp_path / "g.onnx", plugins.path, plugins.target, SMALL).plugin_layers == 4
    with pytest.raises(subprocess.CalledProcessError) as stopped:  # once this parses, nothing need be written out
        read_wiring(tmp_path / "g.onnx", tmp_path / "very")
    assert "AssertionError" in stopped.value.stderr


def test_a_node_whose_plugin_is_missing_is_an_error_and_no_dense_engine(rtx, plugins, tmp_path):
    model = onnx.load(make_graph(tmp_path / "g.onnx"))
    (node,) = (node for node in model.graph.node if node.op_type == "SparseNonLocal")
    (body,) = (function for function in model.functions if function.name == "SparseNonLocal")
    node.op_type = body.name = "Unknown"
    onnx.save(model, tmp_path / "g.onnx")
    assert build_engine(tmp_path / "g.onnx", None, plugins.target, SMALL).plugin_layers == 0
    with pytest.raises(UserError, match="tensorrt_rtx builds no engine from .*g.onnx: .*[Pp]lugin"):
        build_engine(tmp_path / "g.onnx", plugins.path, plugins.target, SMALL)


def test_nodes_that_do_not_name_their_plugin_become_it_all_the_same(rtx, plugins, tmp_path):
    graph = make_graph(tmp_path / "g.onnx", plugin=False)
    assert build_engine(graph, plugins.path, plugins.target, SMALL).plugin_layers == 3


@pytest.mark.parametrize("kind", ["no library", "no graph"])
def test_what_the_builder_refuses_is_told_in_one_sentence(rtx, plugins, tmp_path, kind):
    graph, library = make_graph(tmp_path / "g.onnx"), plugins.path
    if kind == "no library":
        library = tmp_path / "library.so"
        library.write_text("hello")
    else:
        model = onnx.load(graph)
        model.graph.node[3].op_type = "NoSuchOperator"
        onnx.save(model, graph)
    with pytest.raises(UserError, match="tensorrt_rtx builds no engine from .*g.onnx: ") as caught:
        build_engine(graph, library, plugins.target, SMALL)
    assert "\n" not in str(caught.value)


LAYERS = [["a", "CONVOLUTION"], ["b", "PLUGIN_V3"], ["helper", "SHUFFLE"], ["c", "ACTIVATION"]]
BODIES = [["a", "CONVOLUTION"], ["b_1", "ELEMENTWISE"], ["c", "ACTIVATION"]]
NODES = {"a": "", "b": "spair", "c": ""}


def test_layers_of_plugins_are_counted():
    assert check_layers(NODES, LAYERS, BODIES) == 1
    assert check_layers(NODES, LAYERS, None) == 1


def test_a_graph_without_bodies_builds_with_the_library(rtx, plugins, tmp_path):
    model = onnx.load(make_graph(tmp_path / "g.onnx"))
    del model.functions[:]
    onnx.save(model, tmp_path / "g.onnx")
    assert build_engine(tmp_path / "g.onnx", plugins.path, plugins.target, SMALL).plugin_layers == 3


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (
            [["a", "CONVOLUTION"], ["b", "ELEMENTWISE"], ["c", "ACTIVATION"]],
            "0 plugin layers of 1 .*; b became ELEMENTWISE",
        ),
        ([*LAYERS, ["d", "PLUGIN_V3"]], "2 plugin layers of 1 nodes"),
        (
            [["a", "PLUGIN_V3"], ["c", "ACTIVATION"]],
            "1 plugin layers of 1 nodes of domain spair; b became other layers",
        ),
        ([["a", "ELEMENTWISE"], *LAYERS[1:]], "the node a became ELEMENTWISE, without them CONVOLUTION"),
        (LAYERS[1:], "the node a became None, without them CONVOLUTION"),
    ],
)
def test_a_node_that_became_something_else_fails(layers, words):
    with pytest.raises(GateError, match=words):
        check_layers(NODES, layers, BODIES)


def test_nodes_of_ours_need_names(tmp_path):
    graph = make_graph(tmp_path / "g.onnx")
    model = onnx.load(graph)
    assert read_nodes(model, graph)["n_s"] == "spair"
    model.graph.node[4].name = model.graph.node[3].name
    with pytest.raises(UserError, match=r"g\.onnx has a MaskedModulation without a name of its own"):
        read_nodes(model, graph)


def test_weights_in_another_file_are_refused_before_anything_is_built(tmp_path):
    """The builder would read whatever lies there."""
    graph = make_graph(tmp_path / "a.onnx")
    model = onnx.load(graph)
    onnx.save(model, graph, save_as_external_data=True, location="a.bin", size_threshold=0)
    with pytest.raises(UserError, match=r"no engine is built from .*a\.onnx: it takes weights from the file 'a\.bin'"):
        build_engine(graph, None, find_target("rtx"), SMALL)
