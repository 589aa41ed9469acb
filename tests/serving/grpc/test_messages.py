import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from spair.serving.errors import BadRequestError
from spair.serving.grpc.messages import FIELDS, read_request, write_answer
from spair.serving.plane.messages import InferAnswer
from spair.serving.tensors import DTYPES, Tensor, pack_bytes
from tests.serving.grpc.fakes import make_message


def make_typed(datatype, shape, **contents):
    message = service_pb2.ModelInferRequest(model_name="echo")
    message.inputs.add(name="x", datatype=datatype, shape=shape, contents=service_pb2.InferTensorContents(**contents))
    return message


def read_one(message):
    (tensor,) = read_request(message, 0.0, None).inputs
    return tensor


@pytest.mark.parametrize("datatype", DTYPES)
def test_raw_and_typed_contents_give_the_same_tensor(datatype):
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(DTYPES[datatype])
    raw = service_pb2.ModelInferRequest(raw_input_contents=[values.tobytes()])
    raw.inputs.add(name="x", datatype=datatype, shape=[2, 3])
    read = read_one(raw)
    np.testing.assert_array_equal(read.values, values)
    assert (read.name, read.datatype, read.shape, read.values.dtype) == ("x", datatype, (2, 3), values.dtype)
    if datatype in FIELDS:
        typed = read_one(make_typed(datatype, [2, 3], **{FIELDS[datatype]: values.ravel().tolist()}))
        np.testing.assert_array_equal(typed.values, values)
        assert typed.values.dtype == values.dtype and typed.shape == (2, 3)


def test_raw_pixels_are_not_copied():
    assert not read_one(make_message()).values.flags.owndata
    assert not read_one(make_message()).values.flags.writeable


def test_elements_of_bytes_are_read_raw_and_typed():
    raw = service_pb2.ModelInferRequest(raw_input_contents=[b"\x02\0\0\0ab\x00\0\0\0"])
    raw.inputs.add(name="x", datatype="BYTES", shape=[1, 2])
    typed = make_typed("BYTES", [1, 2], bytes_contents=[b"ab", b""])
    assert read_one(raw).values.tolist() == read_one(typed).values.tolist() == [[b"ab", b""]]


def test_a_tensor_without_values_is_read():
    assert read_one(make_typed("UINT8", [0, 3, 8, 8])).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (make_typed("UINT8", [2], uint_contents=[1]), r"has 1 values in uint_contents and the shape \[2\]"),
        (make_typed("UINT8", [2], int_contents=[1, 2]), "has 0 values in uint_contents"),
        (make_typed("UINT8", [-1, -1], uint_contents=[1]), r"has 1 values .* \[-1, -1\]"),
        (make_typed("UINT8", [1], uint_contents=[256]), "a value in uint_contents beyond UINT8"),
        (make_typed("INT8", [1], int_contents=[-129]), "a value in int_contents beyond INT8"),
        (make_typed("FP16", [1], fp32_contents=[1.0]), "'FP16' in contents, expected one of .*raw_input_contents"),
        (make_typed("WHAT", [1]), "the datatype 'WHAT'"),
        (make_typed("UINT8", [1] * 70, uint_contents=[1]), "has 70 sizes, which no array has"),
        (make_typed("UINT8", [2**62, 2**62, 0]), "which no array has"),
        (make_message(raw_input_contents=[b"x"]), "has 1 inputs and 2 raw_input_contents"),
    ],
    ids=range(10),
)
def test_contents_that_do_not_fit_are_refused(message, sentence):
    with pytest.raises(BadRequestError, match=sentence):
        read_request(message, 0.0, None)


def test_contents_of_both_kinds_are_refused():
    message = make_message()
    message.inputs[0].contents.uint_contents.append(1)
    with pytest.raises(BadRequestError, match="has contents beside raw_input_contents"):
        read_request(message, 0.0, None)


def test_names_and_parameters_reach_the_plane():
    message = make_message(model_version="1", id="a")
    message.outputs.add(name="mask")
    message.outputs.add(name="density")
    message.parameters["format"].string_param = "input"
    message.parameters["flag"].bool_param = False
    message.parameters["priority"].uint64_param = 2**63
    message.parameters["share"].double_param = 0.5
    message.parameters["nothing"].SetInParent()
    request = read_request(message, 0.0, None)
    assert (request.model, request.version, request.id, request.door) == ("echo", "1", "a", "grpc")
    assert request.outputs == ("mask", "density")
    assert request.parameters == {"format": "input", "flag": False, "priority": 2**63, "share": 0.5}


@pytest.mark.parametrize(
    ("remaining", "microseconds", "deadline"),
    [
        (None, None, None),
        (None, 0, None),
        (2.0, None, 12.0),
        (2.0, 0, 12.0),
        (None, 500_000, 10.5),
        (0.25, 500_000, 10.25),
    ],
)
def test_the_earlier_of_deadline_and_timeout_counts(remaining, microseconds, deadline):
    message = make_message()
    if microseconds is not None:
        message.parameters["timeout"].int64_param = microseconds
    request = read_request(message, 10.0, remaining)
    assert request.deadline == deadline
    assert request.parameters == {}


@pytest.mark.parametrize("field", [{"int64_param": -1}, {"string_param": "1"}, {"bool_param": True}])
def test_a_timeout_of_another_kind_is_refused(field):
    message = make_message()
    message.parameters["timeout"].CopyFrom(service_pb2.InferParameter(**field))
    with pytest.raises(BadRequestError, match="the parameter timeout is .*microseconds"):
        read_request(message, 0.0, None)


def test_shared_memory_and_classification_are_refused():
    message = make_message()
    message.inputs[0].parameters["shared_memory_region"].string_param = "a"
    with pytest.raises(BadRequestError, match="the input image has shared_memory_region, but this server has no"):
        read_request(message, 0.0, None)
    message = make_message()
    message.outputs.add(name="density").parameters["classification"].int64_param = 3
    with pytest.raises(BadRequestError, match="the output density has classification"):
        read_request(message, 0.0, None)


def test_answers_are_written_raw_with_their_parameters():
    tensors = (Tensor("density", "FP32", np.array([0.5], np.float32)), pack_bytes("mask", [b"ab"]))
    parameters = {"compute_ms": 1.5, "count": -3, "path": "packed", "flag": True}
    response = write_answer(InferAnswer("echo", "1", "a", tensors, parameters))
    assert (response.model_name, response.model_version, response.id) == ("echo", "1", "a")
    assert [(one.name, one.datatype, list(one.shape)) for one in response.outputs] == [
        ("density", "FP32", [1]),
        ("mask", "BYTES", [1]),
    ]
    assert list(response.raw_output_contents) == [b"\0\0\0\x3f", b"\x02\0\0\0ab"]
    assert response.parameters["compute_ms"].double_param == 1.5
    assert response.parameters["count"].int64_param == -3
    assert response.parameters["path"].string_param == "packed"
    assert response.parameters["flag"].WhichOneof("parameter_choice") == "bool_param"
