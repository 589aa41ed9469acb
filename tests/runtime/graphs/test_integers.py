"""Packed layers of integers give the exact sums of the calibrated integers."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.runtime.graphs import make_integer

CHANNELS, OUTPUTS, NEAR, SCALE = 5, 7, 9, 0.02
SAFE = 60
"""Largest weight at which a pair of products fits into 16 bits on every processor: 2 * 255 * 60 < 2**15."""
TABLES = np.random.default_rng(3).integers(0, 11, (4, 6, NEAR)).astype(np.int32)
"""[blocks, rows, neighbours]: rows of the input; 0 is the row of zeros."""


def make_weights(seed: int, inner: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "weight": random.integers(-SAFE, SAFE + 1, (inner, OUTPUTS)).astype(np.int8),
        "scales": random.uniform(0.001, 0.02, OUTPUTS).astype(np.float32),
        "bias": random.standard_normal(OUTPUTS).astype(np.float32),
    }


WIDE = make_weights(0, NEAR * CHANNELS)
"""Layer that reads neighbours; the first two of its rows of weights are cut off, and stand in the file."""
POINT = make_weights(1, CHANNELS)


def make_graph(nodes=(), zero=0, scale=None, **outputs) -> onnx.ModelProto:
    """A layer on blocks of neighbours and one on single pixels, as `PackSparse` writes them."""
    body = helper.make_graph(
        [
            helper.make_node("Gather", ["rows", "numbers"], ["near"]),
            helper.make_node("Reshape", ["near", "width"], ["flat"]),
            helper.make_node("DequantizeLinear", ["flat", "scale"], ["values"]),
            helper.make_node("Gemm", ["values", "matrix", "wide.bias"], ["sums"]),
            helper.make_node("Relu", ["sums"], ["block"]),
        ],
        "body",
        [helper.make_tensor_value_info("numbers", TensorProto.INT32, [None, None])],
        [helper.make_tensor_value_info("block", TensorProto.FLOAT, [None, None])],
    )
    written = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["rows"]),
        helper.make_node("Slice", ["wide.weight", "two", "end", "axis"], ["cut"]),
        helper.make_node("DequantizeLinear", ["cut", "wide.scales"], ["matrix"], axis=1),
        helper.make_node("Scan", ["tables"], ["wide"], body=body, num_scan_inputs=1),
        helper.make_node("DequantizeLinear", ["point.weight", "point.scales"], ["point.matrix"], axis=1),
        helper.make_node("DequantizeLinear", ["rows", "scale"], ["point.values"]),
        helper.make_node("Gemm", ["point.values", "point.matrix", "point.bias"], ["point"]),
        *nodes,
    ]
    stored = {
        **{f"point.{name}": value for name, value in POINT.items()},
        **{f"wide.{name}": value for name, value in WIDE.items()},
        "scale": np.float32(SCALE) if scale is None else scale,
        "zero": np.int8(zero),
        "width": np.int64([-1, NEAR * CHANNELS]),
        "two": np.int64([2]),
        "end": np.int64([2 + NEAR * CHANNELS]),
        "axis": np.int64([0]),
    }
    stored["wide.weight"] = np.concatenate([np.full((2, OUTPUTS), 99, np.int8), WIDE["weight"]])
    graph = helper.make_graph(
        written,
        "packed",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, CHANNELS]),
            helper.make_tensor_value_info("tables", TensorProto.INT32, [None, None, NEAR]),
        ],
        [
            helper.make_tensor_value_info("wide", TensorProto.FLOAT, [None, None, OUTPUTS]),
            helper.make_tensor_value_info("point", TensorProto.FLOAT, [None, OUTPUTS]),
            *(helper.make_tensor_value_info(name, kind, [None, None]) for name, kind in outputs.items()),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return onnx.load_from_string(model.SerializeToString())


def make_rows(seed: int) -> np.ndarray:
    """Rows [11, channels] of which the first is zero; some values lie beyond the range of int8."""
    rows = np.random.default_rng(seed).normal(0, 2, (11, CHANNELS)).astype(np.float32)
    rows[0] = 0
    return rows


def compute(layer: dict[str, np.ndarray], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact sums of the calibrated integers, scaled in float64, and the magnitude that their rounding follows."""
    sums = rows.astype(np.int64) @ layer["weight"].astype(np.int64)
    scaled = sums * (np.float64(np.float32(SCALE)) * layer["scales"])
    return scaled + layer["bias"], np.abs(scaled) + np.abs(layer["bias"])


def run(content: bytes, rows: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(["wide", "point"], {"x": rows, "tables": TABLES})


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_exact(seed):
    content = make_graph().SerializeToString()
    integer = make_integer(content)
    assert integer is not None
    x = make_rows(seed)
    steps = np.clip(np.round(x / np.float32(SCALE)), -128, 127)
    wide, point = run(integer, x)
    expected, size = compute(WIDE, steps[TABLES].reshape(*TABLES.shape[:2], -1))
    # The product of both scales, that with the sum, and the sum with the bias round once each, by half an ulp.
    rounding = 2 * np.finfo(np.float32).eps
    assert (np.abs(wide - np.maximum(expected, 0)) <= rounding * size).all()
    expected, size = compute(POINT, steps)
    assert (np.abs(point - expected) <= rounding * size).all()
    written = run(content, x)
    for got, other in zip((wide, point), written, strict=True):
        np.testing.assert_allclose(got, other, rtol=0, atol=1e-4)


def test_only_products_of_integers_are_left():
    model = make_graph()
    integer = onnx.load_from_string(make_integer(model.SerializeToString()))
    onnx.checker.check_model(integer)
    assert [node.op_type for node in integer.graph.node] == ["QuantizeLinear", "Slice", "Scan", "MatMulIntegerToFloat"]
    (body,) = (part.g for part in integer.graph.node[2].attribute if part.type == onnx.AttributeProto.GRAPH)
    assert [node.op_type for node in body.node] == ["Gather", "Reshape", "MatMulIntegerToFloat", "Relu"]
    assert list(integer.graph.input) == list(model.graph.input)
    assert list(integer.graph.output) == list(model.graph.output)
    assert make_integer(integer.SerializeToString()) is None, "a second call changes nothing"


def scale_back(name, source="rows"):
    return helper.make_node("DequantizeLinear", [source, "scale"], [name])


def read_inside(name):
    """A choice whose branches read a value of the graph."""
    value = helper.make_tensor_value_info("inner", TensorProto.INT8, None)
    branch = helper.make_graph([helper.make_node("Identity", [name], ["inner"])], "branch", [], [value])
    yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True]))
    return [yes, helper.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch)]


@pytest.mark.parametrize(
    "model",
    [
        make_graph([scale_back("again")], again=TensorProto.FLOAT),
        make_graph(rows=TensorProto.INT8),
        make_graph(read_inside("rows"), chosen=TensorProto.INT8),
        make_graph(zero=3),
    ],
    ids=["another reader", "an output", "a reader in a branch", "another zero"],
)
def test_rows_that_others_read_stay_as_they_are(model):
    onnx.checker.check_model(model)
    assert make_integer(model.SerializeToString()) is None


@pytest.mark.parametrize("name", ["near", "values"])
def test_a_body_that_gives_its_rows_keeps_them(name):
    model = make_graph(more=TensorProto.FLOAT if name == "values" else TensorProto.INT8)
    loop = next(node for node in model.graph.node if node.op_type == "Scan")
    body = next(part.g for part in loop.attribute if part.name == "body")
    given = helper.make_tensor_value_info(name, model.graph.output[-1].type.tensor_type.elem_type, None)
    loop.output.append("more")
    body.output.append(given)
    assert make_integer(model.SerializeToString()) is None


def test_bodies_may_share_the_names_of_their_values():
    """A second loop over rows that an output shows stays, beside one with the same names that changes."""
    model = make_graph()
    loop = next(node for node in model.graph.node if node.op_type == "Scan")
    other = onnx.NodeProto.FromString(loop.SerializeToString())
    other.output[0] = "other"
    body = next(part.g for part in other.attribute if part.name == "body")
    body.node[0].input[0] = "shown"
    model.graph.node.extend([helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["shown"]), other])
    for name, kind, rank in (("other", TensorProto.FLOAT, 3), ("shown", TensorProto.INT8, 2)):
        model.graph.output.append(helper.make_tensor_value_info(name, kind, [None] * rank))
    integer = onnx.load_from_string(make_integer(model.SerializeToString()))
    loops = [node for node in integer.graph.node if node.op_type == "Scan"]
    products = [
        [inner.op_type for inner in loop.attribute[0].g.node if inner.op_type[:2] in ("Ge", "Ma")] for loop in loops
    ]
    assert products == [["MatMulIntegerToFloat"], ["Gemm"]]
    session = ort.InferenceSession(integer.SerializeToString(), providers=["CPUExecutionProvider"])
    wide, other = session.run(["wide", "other"], {"x": make_rows(0), "tables": TABLES})
    np.testing.assert_allclose(wide, other, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["point.values", "point.matrix"])
def test_a_layer_whose_values_others_read_keeps_its_rows(name):
    """The rows are those of both layers, so both stay."""
    model = make_graph([helper.make_node("Identity", [name], ["again"])], again=TensorProto.FLOAT)
    integer = make_integer(model.SerializeToString())
    if name == "point.values":
        assert integer is None
    else:  # scaled weights may have other readers
        assert any(node.output[0] == name for node in onnx.load_from_string(integer).graph.node)


def test_a_product_of_floats_stays():
    model = make_graph()
    gemm = model.graph.node[-1]
    gemm.attribute.append(helper.make_attribute("alpha", 0.5))
    assert make_integer(model.SerializeToString()) is None, "it reads the rows of both layers"


def test_a_graph_that_leaves_weights_in_other_files_has_none(tmp_path):
    onnx.save(make_graph(), tmp_path / "g.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert make_integer((tmp_path / "g.onnx").read_bytes()) is None


def test_bytes_that_are_no_graph_are_refused():
    with pytest.raises(ValueError, match="a field"):
        make_integer(b"\x0bScan QuantizeLinear")
