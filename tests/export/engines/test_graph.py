"""Graphs for parsers with plugins: without our function bodies, so that a plugin that is missing is noticed."""

from __future__ import annotations

import subprocess
import sys

import onnx
import pytest

from spair.export.engines.child.process import make_environment
from spair.export.engines.child.worker import remove_bodies
from spair.export.engines.graph import match_tensors, prepare_engine_graph
from spair.runtime.errors import UserError
from tests.export.engines.test_builder import make_graph, rtx  # noqa: F401

OPENED = """
import ctypes, pathlib, sys, tensorrt_rtx as trt
log = trt.Logger(trt.Logger.INTERNAL_ERROR)
builder = trt.Builder(log)
network = builder.create_network(0)
graph, library, registered = sys.argv[1:]
if registered == "yes":
    assert builder.get_plugin_registry().load_library(library) is not None
else:
    ctypes.CDLL(library)
print(trt.OnnxParser(network, log).parse(pathlib.Path(graph).read_bytes()))
"""
"""Whether a graph parses where the library was registered, or opened alone as trtexec's `--staticPlugins` does."""


@pytest.mark.parametrize(
    ("registered", "bodies", "parses"), [("yes", False, True), ("no", False, False), ("no", True, True)]
)
def test_only_without_bodies_is_a_library_that_registers_nothing_noticed(
    rtx,  # noqa: F811
    plugins,
    tmp_path,
    registered,
    bodies,
    parses,
):
    path = make_graph(tmp_path / "g.onnx")
    path.write_bytes(prepare_engine_graph(path, bodies=bodies))
    (tmp_path / "links").mkdir()
    environment = make_environment("tensorrt_rtx", tmp_path / "links")
    command = [sys.executable, "-c", OPENED, str(path), str(plugins.path), registered]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == str(parses)


def test_an_odd_graph_is_refused_in_one_sentence_with_its_node(tmp_path):
    model = onnx.load(make_graph(tmp_path / "g.onnx"))
    node = next(node for node in model.graph.node if node.op_type == "SparseConv2d")
    node.input.pop()
    onnx.save(model, tmp_path / "g.onnx")
    words = rf"cannot prepare .*g\.onnx for a builder of engines: .*{node.op_type} {node.output[0]} has 3 inputs,"
    with pytest.raises(UserError, match=f"{words} .*; export the bundle again$"):
        prepare_engine_graph(tmp_path / "g.onnx")


def test_functions_of_other_domains_stay_for_the_parser(tmp_path):
    model = onnx.load(make_graph(tmp_path / "g.onnx"))
    theirs = onnx.FunctionProto()
    theirs.CopyFrom(model.functions[0])
    theirs.domain = "theirs"
    model.functions.append(theirs)
    remove_bodies(model)
    assert [function.domain for function in model.functions] == ["theirs"]


def test_tensors_are_matched_by_patterns(tmp_path):
    model = onnx.load(make_graph(tmp_path / "g.onnx"))
    found = match_tensors(model, ["s", "?", "mod*", "image", "w0"])
    assert found == {"s": ["s"], "?": ["f", "m", "s"], "mod*": ["modulated"], "image": [], "w0": []}
