"""Bodies of listed forms, run by ONNX Runtime, against those without a list and the definition of an index."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from spair.export.operators.bodies import OPSET, add_function_bodies
from spair.export.operators.table import BY_NAME, DOMAIN, INDEX, OPERATORS
from spair.plugins.compaction.reference import sparse_index
from spair.plugins.sparse_conv2d.reference import pack_weight, quantize
from tests.export.operators.test_bodies import MASKS, draw, int8_arrays, make_mask, run, run_all
from tests.plugins.sparse_conv2d.cases import gather

CONVOLUTIONS = [part.name for part in OPERATORS if part.family == "SparseConv2d" and part.listed_form]


def run_index(mask: np.ndarray) -> list[np.ndarray]:
    """Index, taps and count of a mask."""
    node = helper.make_node(INDEX, ["mask"], ["index", "taps", "count"], domain=DOMAIN)
    kind = helper.np_dtype_to_tensor_dtype(mask.dtype)
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("mask", kind, [None] * 4)], outputs)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    add_function_bodies(model)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"mask": mask})


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 9)], ids=str)
def test_an_index_holds_what_its_definition_says(size, kind, dtype):
    mask = make_mask(kind, 2, 1, *size).astype(dtype)
    found, expected = run_index(mask), sparse_index(mask)
    for one, other in zip(found, expected, strict=True):
        assert (one.shape, one.dtype) == (other.shape, np.int32)
    np.testing.assert_array_equal(found[2], expected[2])
    for image, number in enumerate(found[2]):
        for one, other in zip(found[:2], expected[:2], strict=True):
            np.testing.assert_array_equal(one[image].ravel()[:number], other[image].ravel()[:number])


def test_every_pixel_is_in_an_index_once():
    index, _, _ = run_index(make_mask("half", 2, 1, 8, 9))
    assert (np.sort(index.reshape(2, -1)) == np.arange(72)).all()


def make_arrays(name: str, kernel: int) -> dict[str, np.ndarray]:
    """Inputs of a convolution by name."""
    integers = int8_arrays((5, 7), kernel, "half", np.float32)
    integers["x_scale"] = np.array(2.0**-6, np.float32)  # so that its product with another scale is exact
    if "Quantize" in name:
        integers["x"] = draw(2, 3, 5, 7, seed=7)
    floats = {"x": draw(2, 3, 5, 7), "weight": draw(4, 3, kernel, kernel, seed=1)}
    arrays = integers if "weight_scale" in {part.name for part in BY_NAME[name].inputs} else {**integers, **floats}
    return {**arrays, "residual": draw(2, 4, 5, 7, seed=6)}


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_listed_convolution_is_the_one_without_a_list(name, kernel):
    operator, form = BY_NAME[name], BY_NAME[BY_NAME[name].listed_form]
    arrays = make_arrays(name, kernel)
    attributes = {"pads": [kernel // 2] * 4, "negative_slope": 0.1, "clean_input": 1.0}
    expected = run(name, {part.name: arrays[part.name] for part in operator.inputs}, attributes, opset=19)
    arrays["packed"] = pack_weight(arrays["weight"])
    arrays["scale"] = arrays["x_scale"] * arrays["weight_scale"]
    arrays |= dict(zip(("index", "taps", "count"), sparse_index(arrays["mask"]), strict=True))
    if operator.has_input("residual"):
        attributes["sum_slope"] = 0.25
        expected = np.where(expected < 0, np.float32(0.25) * expected, expected)
    got = run(form.name, {part.name: arrays[part.name] for part in form.inputs}, attributes, opset=19)
    assert np.abs(got).max() > 0.1 and (got < 0).any()
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", [name for name in CONVOLUTIONS if "Add" in name and "Up" not in name])
def test_a_coarse_residual_is_one_whose_positions_lie_behind_each_other(name):
    form = BY_NAME[BY_NAME[BY_NAME[name].listed_form].coarse_form]
    arrays = make_arrays(name, 3)
    arrays = {key: value[:, :, :4, :6] if key in ("x", "mask", "residual") else value for key, value in arrays.items()}
    arrays["coarse"] = gather(arrays["residual"])
    arrays["packed"] = pack_weight(arrays["weight"])
    arrays["scale"] = arrays["x_scale"] * arrays["weight_scale"]
    arrays |= dict(zip(("index", "taps", "count"), sparse_index(arrays["mask"]), strict=True))
    attributes = {"pads": [1] * 4, "negative_slope": 0.1, "clean_input": 0.0, "sum_slope": 0.0}
    listed = BY_NAME[BY_NAME[name].listed_form]
    expected = run(listed.name, {part.name: arrays[part.name] for part in listed.inputs}, attributes, opset=19)
    got = run(form.name, {part.name: arrays[part.name] for part in form.inputs}, attributes, opset=19)
    assert got.max() > 0.1
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["SparseConv2d", "SparseConv2dQuantize"])
def test_joined_channels_are_the_last_ones_of_x(name):
    listed = BY_NAME[BY_NAME[name].listed_form]
    form = BY_NAME[listed.joined_form]
    arrays = make_arrays(name, 3)
    arrays["packed"] = pack_weight(arrays["weight"])
    arrays["scale"] = arrays["x_scale"] * arrays["weight_scale"]
    arrays |= dict(zip(("index", "taps", "count"), sparse_index(arrays["mask"]), strict=True))
    attributes = {"pads": [1] * 4, "negative_slope": 0.1, "clean_input": 1.0}
    expected = run(listed.name, {part.name: arrays[part.name] for part in listed.inputs}, attributes, opset=19)
    arrays |= {"x": arrays["x"][:, :1], "joined": arrays["x"][:, 1:]}
    got = run(form.name, {part.name: arrays[part.name] for part in form.inputs}, attributes, opset=19)
    assert got.max() > 0.1
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", [part.name for part in OPERATORS if part.int8_output_form])
def test_a_form_that_writes_int8_gives_the_steps_of_its_numbers(name, dtype):
    form = BY_NAME[name]
    arrays = make_arrays(name.removesuffix("Listed").replace("Up", "").replace("Join", ""), 3)
    arrays = {key: value[:, :, :4, :6] if key in ("x", "mask", "residual") else value for key, value in arrays.items()}
    arrays["coarse"] = gather(arrays["residual"])
    arrays["packed"] = pack_weight(arrays["weight"])
    arrays["scale"] = arrays["x_scale"] * arrays["weight_scale"]
    arrays |= dict(zip(("index", "taps", "count"), sparse_index(arrays["mask"]), strict=True))
    arrays |= {"x": arrays["x"][:, :1], "joined": arrays["x"][:, 1:]} if form.has_input("joined") else {}
    given = {
        part.name: arrays[part.name].astype(dtype) if part.type == "float" else arrays[part.name]
        for part in form.inputs
    }
    attributes = {"pads": [1] * 4, "negative_slope": 0.1, "clean_input": 1.0}
    attributes |= {"sum_slope": 0.25} if "sum_slope" in form.attributes else {}
    numbers, step = run(name, given, attributes, opset=19), float(np.float16(0.0107))
    (steps,) = run_all(form.int8_output_form, given, {**attributes, "out_scale": step}, opset=19)
    both = run_all(form.both_outputs_form, given, {**attributes, "out_scale": step}, opset=19)
    np.testing.assert_array_equal(both[0], numbers)
    # ONNX Runtime computes halves in float32, and may leave out the rounding between two of its kernels
    for found in (steps, both[1]):
        np.testing.assert_allclose(found, quantize(numbers, step), rtol=0, atol=int(dtype == np.float16))
    clamped = np.isin(steps, (-128, 127))
    assert steps.dtype == np.int8 and clamped.any() and steps[~clamped].any()


def test_listed_attention_is_the_one_without_a_list():
    arrays = {
        "query": draw(2, 4, 5, 3), "key": draw(2, 4, 3, 4, seed=1), "value": draw(2, 6, 3, 4, seed=2),
        "query_mask": make_mask("half", 2, 1, 5, 3), "key_mask": make_mask("all", 2, 1, 3, 4),
    }  # fmt: skip
    index, _, count = sparse_index(arrays["query_mask"])
    got = run("SparseNonLocalListed", {**arrays, "index": index, "count": count}, {"scale": 0.5})
    np.testing.assert_array_equal(got, run("SparseNonLocal", arrays, {"scale": 0.5}))
