"""The function bodies, run by ONNX Runtime, against the readable references."""

import numpy as np
import onnx
import onnx.inliner
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spair.export.functions import DOMAIN, OPERATORS, OPSET, add_function_bodies
from spair.plugins.masked_modulation.reference import masked_modulation
from spair.plugins.sparse_conv2d.reference import sparse_conv2d
from spair.plugins.sparse_non_local.reference import sparse_non_local
from spair.runtime import Bundle

MASKS = ["none", "one pixel", "half", "all"]


def run(operator: str, arrays: dict[str, np.ndarray], attributes: dict) -> np.ndarray:
    """One node of the operator as a model; the tensors are named as in the body, which once misled a parser."""
    node = helper.make_node(operator, list(arrays), ["out"], domain=DOMAIN, **attributes)
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * a.ndim) for name, a in arrays.items()]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph([node], "one_node", inputs, [output])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    add_function_bodies(model)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, arrays)[0]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def make_mask(kind: str, *shape: int) -> np.ndarray:
    mask = np.zeros(shape, np.float32)
    if kind == "one pixel":
        mask[..., shape[-2] // 2, shape[-1] // 3] = 1
    elif kind == "half":
        mask[:] = np.random.default_rng(3).random(shape) < 0.5
    elif kind == "all":
        mask[:] = 1
    return mask


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 9)], ids=str)
@pytest.mark.parametrize(("kernel", "slope", "clean"), [(1, 1.0, 0.0), (3, 0.0, 0.0), (3, 1.0, 1.0), (5, 0.1, 1.0)])
def test_sparse_conv2d(kind, size, kernel, slope, clean):
    arrays = {
        "x": draw(2, 3, *size),
        "mask": make_mask(kind, 2, 1, *size),
        "weight": draw(4, 3, kernel, kernel, seed=1),
        "bias": draw(4, seed=2),
    }
    attributes = {"pads": [kernel // 2] * 4, "negative_slope": slope, "clean_input": clean}
    expected = sparse_conv2d(*arrays.values(), negative_slope=slope, clean_input=bool(clean))
    np.testing.assert_allclose(run("SparseConv2d", arrays, attributes), expected, atol=2e-5)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 9)], ids=str)
def test_masked_modulation(kind, size):
    arrays = {"x": 3 + draw(2, 3, *size), "mask": make_mask(kind, 2, 1, *size)}
    expected = masked_modulation(*arrays.values(), eps=1e-5)
    # One distorted pixel divides its rounding error (some 1e-7 of a mean of 3) by sqrt(eps) = 3e-3.
    np.testing.assert_allclose(run("MaskedModulation", arrays, {"eps": 1e-5}), expected, atol=1e-3)


@pytest.mark.parametrize("queries", MASKS)
@pytest.mark.parametrize("clean", MASKS)
def test_sparse_non_local(queries, clean):
    arrays = {
        "query": draw(2, 4, 5, 3),
        "key": draw(2, 4, 3, 4, seed=1),
        "value": draw(2, 6, 3, 4, seed=2),
        "query_mask": make_mask(queries, 2, 1, 5, 3),
        "key_mask": make_mask(clean, 2, 1, 3, 4),
    }
    expected = sparse_non_local(*arrays.values(), scale=0.5)
    np.testing.assert_allclose(run("SparseNonLocal", arrays, {"scale": 0.5}), expected, atol=1e-5)


def test_names_inside_a_body_cannot_meet_those_of_a_graph():
    for name, function in OPERATORS.items():
        model = helper.make_model(helper.make_graph([helper.make_node(name, [], [], domain=DOMAIN)], "g", [], []))
        add_function_bodies(model)
        (body,) = model.functions
        tensors = {t for node in body.node for t in (*node.input, *node.output)} | {*body.input, *body.output}
        assert tensors
        assert all(t.startswith(f"{name}_") for t in tensors if t)
        assert len(body.input) == len(function.to_function_proto().input)


def test_only_the_bodies_that_are_used_are_added():
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", [], []))
    add_function_bodies(model)
    assert not model.functions


def test_a_copy_with_the_bodies_written_out_gives_the_same(tiny_bundle):
    """What parsers that cannot be trusted with bodies are given, as the module's docstring says."""
    model = onnx.load(Bundle.open(tiny_bundle).graph("fp32", "model"))
    inlined = onnx.inliner.inline_local_functions(model)
    onnx.checker.check_model(inlined, full_check=True)
    assert not inlined.functions and not [node for node in inlined.graph.node if node.domain == DOMAIN]
    image = {"image": np.random.default_rng(0).random((2, 3, 19, 37), np.float32)}
    results = [onnxruntime.InferenceSession(m.SerializeToString()).run(None, image) for m in (model, inlined)]
    for first, second in zip(*results, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
