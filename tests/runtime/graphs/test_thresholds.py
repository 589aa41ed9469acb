"""The threshold of a mask becomes an input, whose default gives what the file gives."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.runtime import Bundle
from spair.runtime.graphs import THRESHOLD, free_threshold
from tests.runtime.graphs.test_lean import open_session

LOGITS = np.array([[-2.0, -0.5, 0.0, 0.25, np.nan, np.inf, -np.inf]], np.float32)


def make_graph(constant=None, *, cast="Cast", output="mask", extra=(), ir_version=9):
    """Logits are compared with a constant, and a second node reads the constant too."""
    value = np.array(0.0, np.float32) if constant is None else constant
    nodes = [
        helper.make_node("Greater", ["x", "limit"], ["found"], name="compare"),
        helper.make_node(cast, ["found"], [output], **({"to": TensorProto.FLOAT} if cast == "Cast" else {})),
        *extra,
    ]
    kind = TensorProto.FLOAT if cast == "Cast" else TensorProto.BOOL
    element = helper.np_dtype_to_tensor_dtype(value.dtype)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, [1, None])],
        [helper.make_tensor_value_info(output, kind, [1, None])],
        [numpy_helper.from_array(value, "limit")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=ir_version)
    return model.SerializeToString()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_the_default_is_the_constant_and_another_value_replaces_it(shape):
    content = make_graph(np.full(shape, 0.25, np.float32))
    session = open_session(free_threshold(content))
    assert [one.name for one in session.get_inputs()] == ["x"]
    assert [(one.name, one.type) for one in session.get_overridable_initializers()] == [(THRESHOLD, "tensor(float)")]
    (plain,) = session.run(None, {"x": LOGITS})
    np.testing.assert_array_equal(plain, open_session(content).run(None, {"x": LOGITS})[0])
    np.testing.assert_array_equal(plain, LOGITS > 0.25)
    for limit in (-np.inf, -0.5, np.nextafter(np.float32(-0.5), np.float32(-1)), 0.0, np.inf):
        (found,) = session.run(None, {"x": LOGITS, THRESHOLD: np.array([limit], np.float32)})
        np.testing.assert_array_equal(found, np.float32(limit) < LOGITS)


def test_a_constant_that_others_read_stays_as_it_is_for_them():
    extra = [helper.make_node("Add", ["x", "limit"], ["sum"])]
    session = open_session(free_threshold(make_graph(np.array(0.25, np.float32), extra=extra)))
    assert [one.name for one in session.get_overridable_initializers()] == [THRESHOLD]


@pytest.mark.parametrize(
    "content",
    [
        make_graph(output="other"),
        make_graph(cast="Not"),
        make_graph(np.array(0.0, np.float16)),
        make_graph(np.zeros(2, np.float32)),
        make_graph(extra=[helper.make_node("Identity", ["x"], [THRESHOLD])]),
        helper.make_model(
            helper.make_graph([helper.make_node("Identity", ["Greater"], ["mask"])], "g", [], [])
        ).SerializeToString(),
    ],
    ids=["no mask", "no cast", "halves", "two numbers", "the name is taken", "no comparison"],
)
def test_a_graph_of_another_form_has_none(content):
    assert free_threshold(content) is None


def test_a_graph_with_weights_in_other_files_has_none(tmp_path):
    graph = onnx.load_from_string(make_graph(np.zeros(2000, np.float32)))
    onnx.save(graph, tmp_path / "g.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert free_threshold((tmp_path / "g.onnx").read_bytes()) is None


def test_what_is_no_onnx_file_is_refused():
    with pytest.raises(ValueError, match="field"):
        free_threshold(b"Greater" + b"\xff" * 9)


def test_net_l_takes_another_threshold_and_gives_the_same_without(tiny_bundle):
    content = Bundle.open(tiny_bundle).graph("fp32", "net_l").read_bytes()
    freed = free_threshold(content)
    onnx.checker.check_model(onnx.load_from_string(freed), full_check=True)
    plain, session = open_session(content), open_session(freed)
    image = np.random.default_rng(3).random((1, 3, 24, 40), np.float32)
    for mine, other in zip(session.run(None, {"image": image}), plain.run(None, {"image": image}), strict=True):
        np.testing.assert_array_equal(mine, other)
    (mask,) = session.run(["mask"], {"image": image, THRESHOLD: np.array([-np.inf], np.float32)})
    assert mask.min() == 1.0
    assert free_threshold(freed) is None


def test_older_files_that_list_their_constants_among_the_inputs_keep_them():
    model = onnx.load_from_string(make_graph())
    model.graph.input.append(helper.make_tensor_value_info("limit", TensorProto.FLOAT, []))
    session: ort.InferenceSession = open_session(free_threshold(model.SerializeToString()))
    assert {one.name for one in session.get_overridable_initializers()} == {"limit", THRESHOLD}
