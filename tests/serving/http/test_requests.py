"""Requests are read as the protocol says, and everything else is refused in a sentence that names the place."""

import json
import struct
import time

import numpy as np
import pytest

from spair.serving.contract import ENCODED, PIXELS
from spair.serving.errors import BadRequestError, TooLargeError
from spair.serving.http import requests
from spair.serving.http.requests import BinaryChoice, Target, parse_infer, parse_object, read_header_length

TARGET = Target("rain", "", PIXELS, 1e12)
IMAGE = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 2, 2]}


def parse(document, binary=b"", target=TARGET):
    head = json.dumps(document).encode()
    return parse_infer(target, bytearray(head + binary), len(head))


def test_binary_data_share_the_memory_of_the_body():
    head = json.dumps({"inputs": [{**IMAGE, "parameters": {"binary_data_size": 4}}]}).encode()
    body = bytearray(head + b"\0\1\2\3")
    request, _ = parse_infer(TARGET, body, len(head))
    body[-1] = 77
    assert request.inputs[0].values.tolist() == [[[[0, 1], [2, 77]]]]


def test_inputs_take_their_binary_data_in_order_between_listed_ones():
    entries = [
        {"name": "a", "datatype": "UINT8", "shape": [2], "parameters": {"binary_data_size": 2}},
        {"name": "b", "datatype": "INT16", "shape": [1], "data": [-5]},
        {"name": "c", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 7}},
    ]
    request, _ = parse({"inputs": entries}, b"\1\2" + struct.pack("<I", 3) + b"\xff\0a")
    assert [one.values.tolist() for one in request.inputs] == [[1, 2], [-5], [b"\xff\0a"]]


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[[[1, 2], [3, 4]]]], [[1, 2], [3, 4]]])
def test_listed_data_are_flat_or_nested(data):
    request, choice = parse_infer(TARGET, json.dumps({"inputs": [{**IMAGE, "data": data}]}).encode(), None)
    assert request.inputs[0].values.tolist() == [[[[1, 2], [3, 4]]]]
    assert choice == BinaryChoice()


def test_a_body_without_json_is_the_picture_file():
    request, choice = parse_infer(Target("rain_bytes", "1", ENCODED, 5.0), bytearray(b"\x89PNG"), 0)
    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, tensor.shape, tensor.values[0]) == ("image", "BYTES", (1,), b"\x89PNG")
    assert choice.takes("restored") and request.deadline == 5.0
    with pytest.raises(BadRequestError, match=r"for models with one input of BYTES, and rain has image UINT8"):
        parse_infer(TARGET, b"\x89PNG", 0)


def test_outputs_choose_their_form_over_the_choice_for_all():
    outputs = [{"name": "mask", "parameters": {"binary_data": False}}, {"name": "density"}]
    document = {"inputs": [{**IMAGE, "data": [0] * 4}], "outputs": outputs, "parameters": {"binary_data_output": True}}
    request, choice = parse(document)
    assert request.outputs == ("mask", "density") and dict(request.parameters) == {}
    assert (choice.takes("mask"), choice.takes("density")) == (False, True)


def test_id_version_and_parameters_reach_the_plane():
    document = {"id": "q", "inputs": [{**IMAGE, "data": [0] * 4}], "parameters": {"format": "input", "priority": 2}}
    request, _ = parse(document, target=Target("rain", "1", PIXELS, 9.0))
    assert (request.id, request.version, request.deadline, request.door) == ("q", "1", 9.0, "http")
    assert dict(request.parameters) == {"format": "input", "priority": 2}


def test_the_parameter_timeout_brings_the_deadline_forward_only():
    def ask(timeout, latest):
        document = {"inputs": [{**IMAGE, "data": [0] * 4}], "parameters": {"timeout": timeout}}
        return parse(document, target=Target("rain", "", PIXELS, latest))[0].deadline

    now = time.monotonic()
    assert now < ask(1_000_000, now + 1000) < now + 1000
    assert ask(2_000_000_000, now + 7) == now + 7
    assert ask(0, now + 7) == ask(10**30, now + 7) == now + 7


GOOD = {**IMAGE, "data": [0] * 4}


@pytest.mark.parametrize(
    ("document", "match"),
    [
        ({}, "the request has no inputs"),
        ({"inputs": 5}, "the field inputs of the request is a JSON int, expected a list"),
        ({"inputs": [7]}, "input 0 is a JSON int, expected an object"),
        ({"inputs": [{}]}, "input 0 has no name"),
        ({"inputs": [{**GOOD, "shape": "x"}]}, "the field shape of the input image is a JSON str, expected a list"),
        ({"inputs": [{**GOOD, "shape": [-1]}]}, r"the shape \[-1\], expected sizes of 0 or more"),
        ({"inputs": [{**GOOD, "shape": [1] * 9}]}, "has 9 dimensions, expected at most 8"),
        ({"inputs": [{**GOOD, "shape": [0, 2**63], "data": []}]}, "which no array has"),
        ({"inputs": [{**GOOD, "datatype": "UINT9"}]}, "the datatype 'UINT9', expected one of"),
        ({"inputs": [{**GOOD, "data": [1, 2, 3]}]}, "has 3 values in its list, expected 4"),
        ({"inputs": [{**GOOD, "data": [0, 1, 2, 256]}]}, "a value beyond UINT8"),
        (
            {"inputs": [{**GOOD, "datatype": "BYTES", "data": ["\ud800"] * 4}]},
            "the input image holds half a surrogate pair",
        ),
        ({"inputs": [IMAGE]}, "has neither data nor the parameter binary_data_size"),
        ({"inputs": [{**IMAGE, "parameters": {"binary_data_size": 5}}]}, "binary_data_size of 5, and 4 bytes are left"),
        ({"inputs": [{**IMAGE, "parameters": {"binary_data_size": -1}}]}, "binary_data_size of -1"),
        ({"inputs": [{**IMAGE, "parameters": {"binary_data_size": True}}]}, "binary_data_size of True"),
        ({"inputs": [GOOD]}, "4 bytes of the body belong to no input"),
        (
            {"inputs": [{**GOOD, "parameters": {"shared_memory_region": "r"}}]},
            "shared memory, which this server does not",
        ),
        ({"inputs": [], "parameters": {"a": None}}, "the parameter a of the request is None"),
        ({"inputs": [], "parameters": 7}, "the field parameters of the request is a JSON int, expected an object"),
        (
            {"inputs": [], "parameters": {"binary_data_output": 1}},
            "binary_data_output of the request is 1, expected true",
        ),
        ({"inputs": [], "outputs": [5]}, "an output is asked for as a JSON int"),
        ({"inputs": [], "outputs": [{"name": 5}]}, "the field name of an output is a JSON int, expected text"),
        ({"inputs": [], "outputs": [{"name": "x", "parameters": {"classification": 3}}]}, "a picture has no classes"),
        ({"inputs": [], "id": 7}, "the field id of the request is a JSON int, expected text"),
    ],
)
def test_what_is_wrong_is_named(document, match):
    with pytest.raises(BadRequestError, match=match):
        parse(document, b"\0" * 4 if document.get("inputs") else b"")


@pytest.mark.parametrize("timeout", [-1, 0.5, "5", True])
def test_a_timeout_that_is_no_time_is_refused(timeout):
    with pytest.raises(BadRequestError, match="expected whole microseconds"):
        parse({"inputs": [GOOD], "parameters": {"timeout": timeout}})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"NaN", b'{"a": Infinity}', b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}"]
)
def test_no_json_is_refused(body):
    with pytest.raises(BadRequestError, match="the body is no JSON"):
        parse_object(body)


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"5"])
def test_json_that_is_no_object_is_refused(body):
    with pytest.raises(BadRequestError, match="the body is a JSON .*, expected an object"):
        parse_object(body)


def test_json_beyond_its_limit_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(requests, "JSON_BYTES", 10)
    with pytest.raises(TooLargeError, match="has 11 bytes, and this server takes at most 10"):
        parse_object(b"x" * 11)


def test_a_header_longer_than_the_body_is_refused():
    with pytest.raises(BadRequestError, match="says 9 bytes of JSON, but the body has 2"):
        parse_infer(TARGET, b"{}", 9)


@pytest.mark.parametrize("given", ["-1", "1.5", "two", "", "٣", "9" * 30])
def test_a_header_length_that_is_no_number_is_refused(given):
    with pytest.raises(BadRequestError, match="Inference-Header-Content-Length is .*, expected a number"):
        read_header_length({"inference-header-content-length": given})


def test_an_absent_header_length_stands_for_json_alone():
    assert read_header_length({}) is None
    assert read_header_length({"inference-header-content-length": "12"}) == 12


def test_numbers_of_json_keep_their_value():
    data = [0.1, -1.5, 3, 1e30]
    request, _ = parse({"inputs": [{"name": "x", "datatype": "FP32", "shape": [4], "data": data}]})
    assert np.array_equal(request.inputs[0].values, np.float32(data))
