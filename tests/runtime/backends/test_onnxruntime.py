"""Sessions run, close, and refuse what they cannot do; a silent fall-back to the CPU is noticed."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from spair.runtime import Bundle, UserError
from spair.runtime.backends.onnxruntime import OnnxGraph, unavailable
from spair.runtime.backends.registry import find_backend


@pytest.fixture
def doubler(tmp_path):
    """y = x + x in float16."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["N"]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubler", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "doubler.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_half_precision_graphs_take_and_give_float32(doubler):
    with OnnxGraph(doubler, threads=1) as graph:
        outputs = graph.run({"x": np.float32([1.5, -2])})
    assert outputs["y"].dtype == np.float32
    np.testing.assert_array_equal(outputs["y"], [3, -4])


@pytest.mark.parametrize("order", "<>")
def test_integers_are_read_in_their_byte_order(tmp_path, order):
    value = [helper.make_tensor_value_info(name, TensorProto.INT64, ["N"]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubler", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "doubler.onnx").write_bytes(model.SerializeToString())
    with OnnxGraph(tmp_path / "doubler.onnx", threads=1) as graph:
        np.testing.assert_array_equal(graph.run({"x": np.array([3, -4], f"{order}i8")})["y"], [6, -8])


def quantized_convolution(scale: float, bias: float) -> onnx.ModelProto:
    """A point-wise convolution and a Relu in int8, with scales in halves, as calibrated graphs have them."""
    half = TensorProto.FLOAT16
    stored = [
        helper.make_tensor("step", half, [], [1 / 127]),
        helper.make_tensor("zero", TensorProto.INT8, [], [0]),
        helper.make_tensor("weight", TensorProto.INT8, [1, 1, 1, 1], [127]),
        helper.make_tensor("scale", half, [1], [scale]),
        helper.make_tensor("bias", half, [1], [bias]),
        helper.make_tensor("small", half, [], [scale]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "small", "zero"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "small", "zero"], ["x_d"]),
        helper.make_node("DequantizeLinear", ["weight", "scale"], ["weight_d"], axis=0),
        helper.make_node("Conv", ["x_d", "weight_d", "bias"], ["convolved"]),
        helper.make_node("Relu", ["convolved"], ["positive"]),
        helper.make_node("QuantizeLinear", ["positive", "step", "zero"], ["y_q"]),
        helper.make_node("DequantizeLinear", ["y_q", "step", "zero"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, half, [1, 1, 2, 2]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "quantized", [x], [y], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


@pytest.mark.parametrize("scale", [1e-2, 1e-3, 1e-4])
def test_a_bias_survives_scales_whose_product_vanishes_in_halves(tmp_path, scale):
    onnx.save(quantized_convolution(scale, 0.5), tmp_path / "quantized.onnx")
    x = np.float32([[[[0, 1], [1, 0]]]])
    with OnnxGraph(tmp_path / "quantized.onnx", threads=1) as graph:
        found = graph.run({"x": x})["y"]
    expected = np.minimum(0.5 + np.minimum(x, 127 * scale) * 127 * scale, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 127)  # a step of the result


def test_inputs_are_checked_by_name(doubler):
    with OnnxGraph(doubler) as graph, pytest.raises(ValueError, match=r"takes \['x'\], got \['z'\]"):
        graph.run({"z": np.zeros(1)})


def test_a_closed_graph_does_not_run(doubler):
    with OnnxGraph(doubler) as graph:
        assert graph.outputs == ("y",)
    with pytest.raises(ValueError, match=r"was closed"):
        graph.run({"x": np.zeros(1)})


@pytest.mark.parametrize("content", [b"", b"no protobuf at all"])
def test_files_that_are_no_graph_are_one_sentence(tmp_path, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot load .*bad.onnx") as caught:
        OnnxGraph(tmp_path / "bad.onnx")
    assert "\n" not in str(caught.value)


def test_a_missing_provider_is_a_reason(doubler, monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert unavailable("cpu") is None
    assert "install onnxruntime-gpu" in unavailable("cuda")
    assert "not 'npu'" in unavailable("npu")
    with pytest.raises(UserError, match=r"on cuda: the installed onnxruntime has no CUDAExecutionProvider"):
        OnnxGraph(doubler, device="cuda")
    with pytest.raises(UserError, match=r"backend cuda is not available: .* install onnxruntime-gpu"):
        find_backend("cuda")


def test_a_silent_fall_back_to_the_cpu_is_an_error(doubler, monkeypatch):
    real = ort.InferenceSession
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", lambda p, o, **_: real(p, o, providers=["CPUExecutionProvider"]))
    with pytest.raises(UserError, match=r"on cuda: ONNX Runtime fell back to CPUExecutionProvider"):
        OnnxGraph(doubler, device="cuda")


def test_cuda_libraries_of_pip_are_loaded_first_and_their_words_are_no_result(doubler, monkeypatch, capsys):
    events = []

    def load():
        events.append("load")
        print("Failed to load libcublasLt.so.13")

    def fail(path, options, **_):
        events.append("open")
        raise RuntimeError("no session")

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "preload_dlls", load, raising=False)
    monkeypatch.setattr(ort, "InferenceSession", fail)
    for device, expected in (("cuda", ["load", "open"]), ("cpu", ["open"])):
        events.clear()
        with pytest.raises(UserError, match="no session"):
            OnnxGraph(doubler, device=device)
        assert events == expected
    assert capsys.readouterr().out == ""


def test_out_of_memory_is_a_memory_error(doubler):
    class Full:
        def run(self, *args):
            raise RuntimeError("Failed to allocate memory for requested buffer of size 999")

    with OnnxGraph(doubler) as graph:
        graph._session = Full()
        with pytest.raises(MemoryError, match=r"ran out of memory"):
            graph.run({"x": np.zeros(1)})


def test_a_trace_is_written_where_it_was_asked_for(doubler, tmp_path):
    (tmp_path / "traces").mkdir()
    with OnnxGraph(doubler, threads=1, trace=tmp_path / "traces") as graph:
        graph.run({"x": np.zeros(5)})
        file = graph.end_trace()
        assert file.parent == tmp_path / "traces" and "_kernel_time" in file.read_text()
        assert graph.run({"x": np.ones(1)})["y"] == [2], "the graph goes on without a profile"
        with pytest.raises(ValueError, match=r"is not being traced"):
            graph.end_trace()


def test_nothing_is_traced_unasked(doubler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with OnnxGraph(doubler) as graph, pytest.raises(ValueError, match=r"is not being traced"):
        graph.end_trace()
    with OnnxGraph(doubler, trace=tmp_path) as graph:
        graph.end_trace().unlink()
    with pytest.raises(ValueError, match=r"is not being traced"):
        graph.end_trace()
    assert list(tmp_path.iterdir()) == [doubler]


def test_what_onnx_runtime_cannot_compute_is_a_sentence(doubler):
    class Broken:
        def run(self, *args):
            raise RuntimeError("Non-zero status code\nreturned while running Reshape node")

    class Odd:
        def run(self, *args):
            return [[1, 2]]

    with OnnxGraph(doubler) as graph:
        graph._session = Broken()
        with pytest.raises(UserError, match=r"cannot compute .* on this picture: Non-zero status code returned while"):
            graph.run({"x": np.zeros(1)})
        graph._session = Odd()
        with pytest.raises(UserError, match=r"the output y of .* is no tensor"):
            graph.run({"x": np.zeros(1)})


def test_a_graph_that_cannot_be_loaded_prints_nothing(doubler, capfd):
    """Its bytes could control the terminal, and stdout belongs to the result."""
    content = doubler.read_bytes()
    doubler.write_bytes(content.replace(b"Add", b"A\x8cd").replace(b"Mul", b"M\x8cl"))
    assert doubler.read_bytes() != content
    with pytest.raises(UserError, match="cannot load"):
        OnnxGraph(doubler)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("as_written", [False, True])
def test_the_lean_form_is_computed_unless_asked_otherwise(tiny_bundle, tmp_path, as_written):
    file = Bundle.open(tiny_bundle).graph("fp32", "net_l")
    with OnnxGraph(file, threads=1, trace=tmp_path, as_written=as_written) as graph:
        graph.run({"image": np.zeros((1, 3, 8, 8))})
        events = json.loads(graph.end_trace().read_text())
    used = {event["args"].get("op_name") for event in events if event["cat"] == "Node"}
    assert used & {"DepthToSpace", "ConvTranspose"} == {"DepthToSpace" if as_written else "ConvTranspose"}


def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path):
    (tmp_path / "g.onnx").write_bytes(b"\x0bDepthToSpace")
    with pytest.raises(UserError, match=r"cannot load .*g\.onnx.*export it again"):
        OnnxGraph(tmp_path / "g.onnx")


@pytest.mark.parametrize(
    ("inputs", "attributes"),
    [(["x", "x", "w", "w"], {}), (["x", "x"], {"clean_input": 0.0, "negative_slope": 0.0, "pads": [0, 0, 0, 0]})],
    ids=["no attributes", "two inputs"],
)
def test_a_graph_with_a_broken_node_is_refused_by_name(tmp_path, inputs, attributes):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("x", "y")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 3, 3], [1.0] * 9)
    node = helper.make_node("SparseConv2d", inputs, ["y"], domain="spair", **attributes)
    graph = helper.make_graph([node], "broken", value[:1], value[1:], [weight])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("spair", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"cannot load .*g\.onnx.*export it again"):
        OnnxGraph(tmp_path / "g.onnx")
