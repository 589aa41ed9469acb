"""The function bodies, run by ONNX Runtime, against the readable references."""

import numpy as np
import onnx
import onnx.inliner
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spair.export.operators.bodies import BODIES, OPSET, add_function_bodies
from spair.export.operators.table import BY_NAME, DOMAIN
from spair.plugins.masked_modulation.reference import masked_modulation
from spair.plugins.sparse_compose.reference import sparse_compose
from spair.plugins.sparse_conv2d.reference import quantize, sparse_conv2d
from spair.plugins.sparse_non_local.reference import sparse_non_local
from spair.runtime import Bundle

MASKS = ["none", "one pixel", "half", "all"]


def run(operator: str, arrays: dict[str, np.ndarray], attributes: dict, opset: int = OPSET) -> np.ndarray:
    """The only output of `run_all`."""
    (out,) = run_all(operator, arrays, attributes, opset)
    return out


def run_all(operator: str, arrays: dict[str, np.ndarray], attributes: dict, opset: int = OPSET) -> list[np.ndarray]:
    """One node of the operator as a model; the tensors are named as in the body, which once misled a parser."""
    gives = BY_NAME[operator].gives
    names = [*["out"] * (gives != "int8"), *["steps"] * (gives != "float")]
    node = helper.make_node(operator, list(arrays), names, domain=DOMAIN, **attributes)
    types = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in arrays.items()}
    inputs = [helper.make_tensor_value_info(name, types[name], [None] * a.ndim) for name, a in arrays.items()]
    made = next(types[name] for name in ("picture", "mask", "query_mask") if name in types)
    kinds = {"out": made, "steps": TensorProto.INT8}
    outputs = [helper.make_tensor_value_info(name, kinds[name], [None] * 4) for name in names]
    graph = helper.make_graph([node], "one_node", inputs, outputs)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    add_function_bodies(model)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, arrays)


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


def int8_arrays(size: tuple[int, int], kernel: int, kind: str, halves: type) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    return {
        "x": random.integers(-128, 128, (2, 3, *size)).astype(np.int8),
        "mask": make_mask(kind, 2, 1, *size).astype(halves),
        "weight": random.integers(-127, 128, (4, 3, kernel, kernel)).astype(np.int8),
        "bias": draw(4, seed=2).astype(halves),
        "x_scale": np.array(0.02, np.float32),
        "weight_scale": np.float32([0.003, 0.01, 0.0005, 0.004]),
    }


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("halves", [np.float32, np.float16])
@pytest.mark.parametrize(("kernel", "slope", "clean"), [(1, 1.0, 0.0), (3, 0.0, 0.0), (3, 1.0, 1.0), (5, 0.1, 1.0)])
def test_sparse_conv2d_int8_is_the_float_one_on_what_the_integers_stand_for(kind, halves, kernel, slope, clean):
    arrays = int8_arrays((5, 7), kernel, kind, halves)
    attributes = {"pads": [kernel // 2] * 4, "negative_slope": slope, "clean_input": clean}
    expected = sparse_conv2d(
        arrays["x"] * arrays["x_scale"],
        arrays["mask"].astype(np.float32),
        arrays["weight"] * arrays["weight_scale"][:, None, None, None],
        arrays["bias"].astype(np.float32),
        negative_slope=slope,
        clean_input=bool(clean),
    )
    got = run("SparseConv2dInt8", arrays, attributes, opset=19)
    assert got.dtype == halves
    # FP32 sums of 75 products, then rounded to the type of the mask, relative to the value
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=float(np.finfo(halves).eps))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("halves", [np.float32, np.float16])
def test_a_quantizing_convolution_is_the_int8_one_after_a_quantizer(halves, residual):
    arrays = int8_arrays((5, 7), 3, "half", halves)
    arrays["x_scale"] = np.array(np.float16(0.02), np.float32)
    x = ((arrays["x"] + np.random.default_rng(5).uniform(-0.6, 0.6, arrays["x"].shape)) * arrays["x_scale"]).astype(
        halves
    )
    x[np.broadcast_to(arrays["mask"] == 0, x.shape)] = np.nan
    if residual:
        arrays["residual"] = draw(2, 4, 5, 7, seed=6).astype(halves)
    attributes = {"pads": [1] * 4, "negative_slope": 0.1, "clean_input": 0.0}
    form = "Add" if residual else ""
    got = run(f"SparseConv2dQuantize{form}", arrays | {"x": x}, attributes)
    expected = run(f"SparseConv2dInt8{form}", arrays | {"x": quantize(x, float(arrays["x_scale"]))}, attributes)
    assert got.dtype == halves and np.abs(got).max() > 0.1
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("slope", "clean"), [(0.0, 0.0), (0.1, 1.0)])
def test_sparse_conv2d_takes_halves(slope, clean):
    arrays = {"x": draw(2, 3, 5, 7), "mask": make_mask("half", 2, 1, 5, 7), "weight": draw(4, 3, 3, 3), "bias": draw(4)}
    halves = {name: value.astype(np.float16) for name, value in arrays.items()}
    attributes = {"pads": [1] * 4, "negative_slope": slope, "clean_input": clean}
    rounded = [value.astype(np.float32) for value in halves.values()]
    expected = sparse_conv2d(*rounded, negative_slope=slope, clean_input=bool(clean))
    got = run("SparseConv2d", halves, attributes)
    assert got.dtype == np.float16
    # Products x * mask are exact; 27 sums in FP32 or, where a backend has half kernels, in FP16.
    np.testing.assert_allclose(got, expected, atol=27 * 2**-11, rtol=2**-10)


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


def test_modulation_and_attention_of_halves_round_once():
    x = (3 + draw(2, 3, 40, 50)) * 2**13  # squares and sums are far beyond the largest half
    arrays = {"x": x.astype(np.float16), "mask": make_mask("half", 2, 1, 40, 50).astype(np.float16)}
    wide = {name: array.astype(np.float32) for name, array in arrays.items()}
    got = run("MaskedModulation", arrays, {"eps": 1e-5})
    np.testing.assert_array_equal(got, run("MaskedModulation", wide, {"eps": 1e-5}).astype(np.float16))
    arrays = {
        "query": draw(2, 4, 5, 3),
        "key": 100 * draw(2, 4, 3, 4, seed=1),
        "value": draw(2, 6, 3, 4, seed=2),
        "query_mask": make_mask("half", 2, 1, 5, 3),
        "key_mask": make_mask("half", 2, 1, 3, 4),
    }
    arrays = {name: array.astype(np.float16) for name, array in arrays.items()}
    wide = {name: array.astype(np.float32) for name, array in arrays.items()}
    got = run("SparseNonLocal", arrays, {"scale": 0.5})
    np.testing.assert_array_equal(got, run("SparseNonLocal", wide, {"scale": 0.5}).astype(np.float16))


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("halves", [np.float32, np.float16])
def test_sparse_compose_leaves_clean_pixels_whatever_the_residual_holds(kind, halves):
    mask = make_mask(kind, 2, 1, 5, 4).astype(halves)
    residual = np.where(mask != 0, draw(2, 3, 5, 4), np.nan).astype(halves)
    arrays = {"picture": draw(2, 3, 5, 4, seed=1) + 0.5, "residual": residual, "mask": mask}
    limits = {"low": -0.25, "high": 1.0}
    np.testing.assert_array_equal(run("SparseCompose", arrays, limits), sparse_compose(*arrays.values(), **limits))


def test_names_inside_a_body_cannot_meet_those_of_a_graph():
    for name, function in BODIES.items():
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
