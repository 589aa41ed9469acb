"""Calibrated graphs in TensorRT-RTX: what its parser made of every quantizer, read from its layers in a child process.

Nothing here runs an engine: deserializing one needs a GPU.
"""

import copy
import importlib.util
import re
from collections import Counter
from pathlib import Path

import onnx
import pytest

import spair.export.engines.builder as engine_module
from spair.calibration.conversion.convert import ConvertPrecision
from spair.export.engines.builder import build_engine
from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.options import EngineOptions
from tests.calibration.conversion.graphs import make_plan
from tests.plugins.conftest import HOST_TARGET

SMALL = EngineOptions((64, 64), (96, 64), level=0)


@pytest.fixture(autouse=True)
def _rtx():
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed: pip install 'spair-rt[rtx]'")


def convert(network, plan, path: Path) -> onnx.ModelProto:
    model = copy.deepcopy(network.models["model"])
    ConvertPrecision(plan, "model")(model)
    onnx.save(model, path)
    return model


def read_layers(graph: Path, library: Path | None, folder: Path, monkeypatch) -> list[list[str]]:
    """Name and type of the layers that the parser made, of a graph that was also built."""
    answers = []
    run = engine_module.run_worker

    def keep(job, place, supervision):
        answers.append(run(job, place, supervision))
        return answers[-1]

    monkeypatch.setattr(engine_module, "run_worker", keep)
    engine = build_engine(graph, library, HOST_TARGET, SMALL)
    assert engine.plan[:4] == b"vtrt"
    return answers[0]["layers"]


def count(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_every_quantizer_survives_parsing_and_the_graph_builds(network, tmp_path, monkeypatch, precision):
    model = convert(network, make_plan(network, precision), tmp_path / "g.onnx")
    layers = Counter(kind for _, kind in read_layers(tmp_path / "g.onnx", None, tmp_path, monkeypatch))
    nodes = count(model)
    assert layers["QUANTIZE"] == nodes["QuantizeLinear"]
    assert layers["DEQUANTIZE"] == nodes["DequantizeLinear"] + 2 * nodes["SparseConv2dInt8"]
    assert bool(layers["QUANTIZE"]) == (precision == "int8")
    assert layers["CONVOLUTION"] == nodes["Conv"] + nodes["SparseConv2d"] + nodes["SparseConv2dInt8"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_plugins_take_int8_straight_from_the_quantizers(network, plugins, tmp_path, monkeypatch, precision):
    model = convert(network, make_plan(network, precision), tmp_path / "g.onnx")
    read = read_layers(tmp_path / "g.onnx", plugins.path, tmp_path, monkeypatch)
    layers, nodes = Counter(kind for _, kind in read), count(model)
    sparse = [node for node in model.graph.node if node.domain == "spair"]
    assert layers["PLUGIN_V3"] == len(sparse) > 0
    assert layers["QUANTIZE"] == nodes["QuantizeLinear"]
    assert layers["DEQUANTIZE"] == nodes["DequantizeLinear"], "no DequantizeLinear stands before a plugin"
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    int8 = [node for node in sparse if node.op_type == "SparseConv2dInt8"]
    assert all(makers[node.input[0]] == "QuantizeLinear" for node in int8)
    assert bool(int8) == (precision == "int8")


def test_prepared_graphs_quantize_in_the_plugins_alone_what_only_they_read(network, plugins, tmp_path, monkeypatch):
    before = count(convert(network, make_plan(network, "int8"), tmp_path / "g.onnx"))
    (tmp_path / "prepared.onnx").write_bytes(prepare_engine_graph(tmp_path / "g.onnx"))
    model = onnx.load(tmp_path / "prepared.onnx")
    layers = Counter(kind for _, kind in read_layers(tmp_path / "prepared.onnx", plugins.path, tmp_path, monkeypatch))
    nodes = count(model)
    quantizing = sum(number for kind, number in nodes.items() if kind.startswith("SparseConv2dQuantize"))
    fed = [node for node in model.graph.node if node.op_type.startswith("SparseConv2dInt8")]
    assert quantizing + len(fed) == before["SparseConv2dInt8"] and len(fed) > quantizing > 0
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    assert all(re.search("To(Int8|Both)Listed$", makers[node.input[0]]) for node in fed), "no quantizer stands between"
    assert layers["PLUGIN_V3"] == sum(node.domain == "spair" for node in model.graph.node)
    assert layers["QUANTIZE"] == nodes["QuantizeLinear"] < before["QuantizeLinear"]
