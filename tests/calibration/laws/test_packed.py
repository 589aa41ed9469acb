"""Packed form of calibrated graphs against the dense one."""

import copy

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from spair.calibration.conversion.convert import ConvertPrecision
from spair.export.operators.table import DOMAIN
from spair.export.packed.layers import PackedLayer
from spair.export.packed.packing import PackSparse
from spair.export.passes.graph import element_types
from spair.runtime.backends.products import has_exact_products
from spair.runtime.graphs import make_integer
from tests.calibration.conversion.graphs import make_feeds, make_plan, open_session

STEP = 0.02
"""Step of every INT8 activation."""


def pack(network, plan) -> tuple[onnx.ModelProto, onnx.ModelProto, onnx.ModelProto]:
    """Return the converted graph, its float32 twin and its packed form."""
    dense, twin = (copy.deepcopy(network.models["net_r"]) for _ in range(2))
    ConvertPrecision(plan, "net_r")(dense)
    ConvertPrecision(plan, "net_r", twin=True)(twin)
    packed = copy.deepcopy(dense)
    PackSparse()(packed)
    return dense, twin, packed


def check_but_for_borders(one: onnx.ModelProto, other: onnx.ModelProto, density: float) -> None:
    """Compare INT8 graphs whose sums have another order or another last bit.

    A sum on the border between two steps falls to either side, which is rare and depends on the processor: one picture
    in ten or so has such a sum, and then a few hundredths of its values are another, by less than a step.
    """
    sessions = [open_session(model) for model in (one, other)]
    shares = []
    for seed in range(4):
        feeds = make_feeds(one, density, seed)
        expected, got = (session.run(None, feeds)[0] for session in sessions)
        shares.append((np.abs(got - expected) > 1e-5).mean())
        assert np.abs(got - expected).max(initial=0.0) < STEP
        clean = np.broadcast_to(feeds["mask"] < 0.5, got.shape)
        assert np.array_equal(got[clean], feeds["image"][clean])
        assert not density or not np.array_equal(got, feeds["image"])
    assert min(shares) == 0 and max(shares) < 0.1


@pytest.mark.parametrize("density", [0.0, 0.03, 0.4, 1.0])
def test_packed_int8_equals_dense_int8(network, density):
    """Compare graphs in which only the layers are INT8.

    Both compute the same integers, so only the order of their sums differs.
    """
    dense, _, packed = pack(network, make_plan(network, "int8", "fp32", STEP))
    check_but_for_borders(dense, packed, density)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_packed_is_as_near_to_fp32_as_the_twin(network, precision):
    plan = make_plan(network, precision)
    dense, twin, packed = pack(network, plan)
    feeds = make_feeds(dense)
    exact, rounded, got = (open_session(model).run(None, feeds)[0] for model in (network.models["net_r"], twin, packed))
    error = np.abs(rounded - exact).mean()
    assert 0 < np.abs(got - exact).mean() <= 1.2 * error
    assert np.abs(got - exact).max() > 0


def test_packed_int8_gathers_int8_rows_and_stores_few_bytes(network):
    dense, _, packed = pack(network, make_plan(network, "int8"))
    assert not any(node.domain == DOMAIN for node in packed.graph.node) and not packed.functions
    onnx.checker.check_model(packed, full_check=True)
    steps = {node.output[0] for node in packed.graph.node if node.op_type == "QuantizeLinear"}
    gathered = [
        inner.input[0]
        for node in packed.graph.node
        if node.op_type == "Scan"
        for inner in next(a.g for a in node.attribute if a.name == "body").node
        if inner.op_type == "Gather"
    ]
    sparse = [node for node in dense.graph.node if node.op_type == "SparseConv2dInt8"]
    dense_layers = sum(node.op_type == "Conv" for node in packed.graph.node)  # keys and values read one activation
    assert len(steps) == len({(node.input[0], node.input[4]) for node in sparse}) + (dense_layers > 0)
    assert sum(name in steps for name in gathered) >= 4  # every 3x3 layer in each of the four groups
    weights = sum(
        len(tensor.raw_data)
        for tensor in packed.graph.initializer
        if tensor.data_type == TensorProto.INT8 and tensor.dims
    )
    assert weights == sum(np.prod(layer.shape) for layer in network.layers if layer.part == "net_r"), (
        "one byte a weight, of sparse and dense layers"
    )


def test_packed_halves_are_float_inside_and_half_on_file(network):
    _, _, packed = pack(network, make_plan(network, "fp16"))
    types = element_types(packed)
    casts = [node for node in packed.graph.node if node.op_type == "Cast" and node.input[0].endswith("_half")]
    halves = {name for name, kind in types.items() if kind == TensorProto.FLOAT16}
    assert halves == {node.input[0] for node in casts}
    stored = {tensor.name for tensor in packed.graph.initializer}
    assert halves <= stored


def sum_exactly(layer, emit, values: str, columns: range) -> str:
    """Stands for `PackedLayer.apply`: the sums are exact, then scaled and rounded as floats."""
    matrix, radius = layer.weight.transpose(3, 2, 1, 0).reshape(-1, layer.outputs), layer.kernel // 2
    if len(columns) < layer.kernel:
        height = layer.kernel * layer.weight.shape[1]
        matrix = matrix[(columns.start + radius) * height : (columns.stop + radius) * height]
    doubles = emit.op("Cast", values, to=TensorProto.DOUBLE)
    sums = emit.op("Cast", emit.op("MatMul", doubles, emit.const(matrix, np.float64)), to=TensorProto.FLOAT)
    scaled = emit.op("Mul", sums, emit.const(np.float32(layer.input_scale) * layer.weight_scale, np.float32))
    rows = emit.op("Add", scaled, emit.const(layer.bias, np.float32))
    return emit.op("Relu", rows) if layer.negative_slope == 0.0 else rows


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
def test_products_of_integers_give_the_exact_sums(network, density, monkeypatch):
    """Compare the form of ONNX Runtime with the packed graph whose sums are exact."""
    dense, _, packed = pack(network, make_plan(network, "int8", "fp32", STEP))
    monkeypatch.setattr(PackedLayer, "apply", sum_exactly)
    exact = copy.deepcopy(dense)
    PackSparse()(exact)
    if not has_exact_products():
        pytest.skip("this processor does not run exact products of uint8 and int8")
    check_but_for_borders(exact, onnx.load_from_string(make_integer(packed.SerializeToString())), density)
