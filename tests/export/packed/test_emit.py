"""Nodes and constants that the emitter collects, run by ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from spair.export.packed.emit import Emitter


def run(emit: Emitter, result: str, **feeds: np.ndarray) -> np.ndarray:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feeds.items()
    ]
    output = helper.make_tensor_value_info(result, TensorProto.FLOAT, [None, None])
    graph = helper.make_graph(emit.nodes, "g", inputs, [output], emit.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]


def test_constants_are_shared_if_value_type_and_shape_are_equal():
    emit = Emitter("packed")
    first = emit.const([1, 2])
    assert emit.const((1, 2)) == first
    others = {emit.const([1, 3]), emit.const([[1, 2]]), emit.const([1, 2], np.int32), emit.const([1, 2], np.float32)}
    assert first not in others and len(others) == 4
    assert len(emit.initializers) == 5
    np.testing.assert_array_equal(numpy_helper.to_array(emit.initializers[0]), np.int64([1, 2]))


def test_a_scan_stacks_the_results_of_slices_and_reads_the_outer_graph():
    emit = Emitter("packed")
    doubled = emit.op("Add", "x", "x")

    def body(row: str) -> str:
        with emit.outermost():
            tripled = emit.op("Add", doubled, "x")
        total = emit.op("ReduceSum", tripled, emit.const([0]), keepdims=0)
        return emit.op("Add", row, total)

    result = emit.scan([("x", TensorProto.FLOAT, 1)], body, rank=1)
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(run(emit, result, x=x), x + 3 * x.sum(axis=0))
    assert [node.op_type for node in emit.nodes] == ["Add", "Add", "Scan"], "what is shared is not inside the loop"


def test_a_choice_runs_the_branch_of_its_condition():
    for chosen in (True, False):
        emit = Emitter("packed")
        result = emit.choose("yes", lambda emit=emit: emit.op("Neg", "x"), lambda emit=emit: emit.op("Exp", "x"))
        x = np.float32([[0.0, 2.0]])
        expected = -x if chosen else np.exp(x)
        np.testing.assert_allclose(run(emit, result, x=x, yes=np.array(chosen)), expected, rtol=1e-6)


def test_names_are_never_used_twice():
    emit = Emitter("packed")
    pieces = emit.ops("Split", "x", outputs=2, axis=0, num_outputs=2)
    names = [*pieces, emit.name(), emit.op("Relu", pieces[0])]
    assert len(set(names)) == 4
    assert [node.name for node in emit.nodes] == [pieces[0], names[-1]]
