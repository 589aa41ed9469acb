"""A plugin's sentence reaches the logger of every TensorRT, whichever headers compiled the library."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import onnx
import pytest

from spair.export.engines.child.process import make_environment
from spair.export.engines.graph import prepare_engine_graph
from spair.plugins.compiler.kernels.compilation import Settings
from spair.plugins.compiler.library.embedding import read_label
from spair.plugins.compiler.library.linking import build_library
from spair.plugins.compiler.tools import find_cuda_headers
from tests.export.engines.test_builder import make_graph, rtx  # noqa: F401
from tests.plugins.compiler.laws.test_headers import FOLDERS, VARIABLE
from tests.plugins.emulated.conftest import harness  # noqa: F401
from tests.plugins.emulated.plugin import build_harness
from tests.plugins.native.fakes import FAKES, FakeTensorRT, run_child

SENTENCE = "SparseConv2d node: pads are not four equal numbers; the output has the input's size"

CREATE = """
import ctypes, sys
from tests.plugins.emulated import tensorrt as trt
library, harness, *tensorrts = [ctypes.CDLL(path) for path in sys.argv[1:]]
harness.find_creator.restype = ctypes.c_void_p
harness.take_messages.restype = ctypes.c_char_p
creator = harness.find_creator(ctypes.c_void_p(library._handle), b"SparseConv2d")  # this sets the harness's logger
for tensorrt in tensorrts:
    tensorrt.fake_finder.restype = tensorrt.fake_messages.restype = tensorrt.fake_calls.restype = ctypes.c_void_p
    library.setLoggerFinder(ctypes.c_void_p(tensorrt.fake_finder()))
field, data = trt.make_field("pads", [1, 0, 1, 0])
assert harness.create(ctypes.c_void_p(creator), (trt.PluginField * 1)(field), 1, 0) == 0
for tensorrt in tensorrts:
    for text in (tensorrt.fake_messages(), tensorrt.fake_calls()):
        print(ctypes.string_at(text).decode(), end="")
print(harness.take_messages().decode(), end="")
"""
"""Makes a creator refuse an attribute; prints what every logger got, and functions of its table called in error."""


@pytest.mark.parametrize("fake", FAKES, ids=lambda fake: f"{fake.soname}")
def test_the_sentence_reaches_loggers_of_both_generations(plugins, harness, tmp_path, fake):  # noqa: F811
    done = run_child(CREATE, plugins.path, harness, fake.build(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"1: {SENTENCE}\n"


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (2, 0)], ids=["10-11", "11-10", "rtx-10"])
def test_with_two_tensorrts_in_a_process_the_loggers_own_layout_is_used(plugins, harness, tmp_path, order):  # noqa: F811
    paths = [FAKES[index].build(tmp_path) for index in order]
    done = run_child(CREATE, plugins.path, harness, *paths)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"1: {SENTENCE}\n")


def test_a_logger_of_an_unknown_library_is_taken_for_that_of_the_tensorrt_in_the_process(plugins, harness, tmp_path):  # noqa: F811
    """An unknown library exports no version, as a program that holds TensorRT inside does not."""
    for generation, index in ((10, 0), (11, 1)):
        (tmp_path / str(generation)).mkdir()
        unknown = FakeTensorRT("libunknown.so", generation, 0)
        path = unknown.build(tmp_path / str(generation))
        content = path.read_bytes()
        assert content.count(b"getInferLibVersion\0") >= 1
        path.write_bytes(content.replace(b"getInferLibVersion\0", b"getXnferLibVersion\0"))
        known = FAKES[index].build(tmp_path / str(generation))
        script = CREATE.replace("library, harness, *tensorrts = ", "library, harness, _, *tensorrts = ")
        done = run_child(script, plugins.path, harness, known, path)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", f"1: {SENTENCE}\n")


def test_without_a_logger_the_sentence_is_on_stderr(plugins, harness):  # noqa: F811
    script = CREATE.replace("field, data", "library.setLoggerFinder(None)\nfield, data")
    done = run_child(script, plugins.path, harness)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"spair: {SENTENCE}\n")


@pytest.mark.skipif(len(FOLDERS) < 2, reason=f"${VARIABLE} does not name the headers of several TensorRTs")
def test_libraries_and_hosts_of_all_headers_understand_each_other(plugins, tmp_path, monkeypatch):
    libraries, hosts = {}, {}
    for index, folder in enumerate(FOLDERS):
        monkeypatch.setenv("TENSORRT_INCLUDE_DIR", str(folder))
        path = tmp_path / f"library{index}.so"
        path.write_bytes(build_library(plugins.target, [], Settings(2)))
        libraries[read_label(path).tensorrt] = path
        hosts[read_label(path).tensorrt] = build_harness(tmp_path / f"harness{index}.so", [folder, find_cuda_headers()])
    assert {version[0] for version in libraries} == {10, 11}, "give headers of both generations"
    for compiled, library in libraries.items():
        for host, program in hosts.items():
            done = run_child(CREATE, library, program)
            assert (done.returncode, done.stdout, done.stderr) == (0, f"{SENTENCE}\n", ""), f"{compiled} under {host}"


PARSE = """
import json, pathlib, sys, tensorrt_rtx as trt
class Log(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)
        self.errors = []
    def log(self, severity, message):
        if severity == trt.ILogger.Severity.ERROR:
            self.errors.append(message)
log = Log()
builder = trt.Builder(log)
assert builder.get_plugin_registry().load_library(sys.argv[2]) is not None
network = builder.create_network(0)
parsed = trt.OnnxParser(network, log).parse(pathlib.Path(sys.argv[1]).read_bytes())
print(json.dumps([parsed, log.errors]))
"""


def test_a_bad_attributes_sentence_reaches_pythons_logger(rtx, plugins, tmp_path):  # noqa: F811
    path = make_graph(tmp_path / "g.onnx")
    model = onnx.load_model_from_string(prepare_engine_graph(path, bodies=False))
    (node,) = (node for node in model.graph.node if node.op_type == "SparseConv2dListed")
    (pads,) = (attribute for attribute in node.attribute if attribute.name == "pads")
    pads.ints[:] = [1, 0, 1, 0]
    onnx.save(model, path)
    (tmp_path / "links").mkdir()
    environment = make_environment("tensorrt_rtx", tmp_path / "links")
    done = run_child(PARSE, path, plugins.path, environment=environment)
    assert done.returncode == 0, done.stderr
    parsed, errors = json.loads(done.stdout.splitlines()[-1])
    assert not parsed
    assert [
        error for error in errors if error.endswith("pads are not four equal numbers; the output has the input's size")
    ]
    assert "pads are not" not in done.stderr


def test_the_label_says_which_headers_compiled_it(plugins):
    major, minor = read_label(Path(plugins.path)).tensorrt
    assert ctypes.CDLL(str(plugins.path)).spair_plugins_tensorrt() // 100 == 100 * major + minor
