"""Answers hold every byte of every output, in the form and the encoding that was asked for."""

import asyncio
import gzip
import json
import struct
import zlib

import numpy as np
import pytest

from spair.serving.contract import ENCODED
from spair.serving.errors import BadRequestError, TooLargeError
from spair.serving.http import answers
from spair.serving.http.answers import check_choice, choose_coding, view_raw, write_answer
from spair.serving.http.requests import BinaryChoice
from spair.serving.plane.messages import InferAnswer, InferRequest
from spair.serving.tensors import Tensor, pack_bytes

PIXELS = Tensor("restored", "UINT8", np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
DENSITY = Tensor("density", "FP32", np.float32([0.25]))
TEXT = pack_bytes("words", ["ä".encode(), b""])
BINARY, LISTED = BinaryChoice(default=True), BinaryChoice()


def write(outputs, choice, accepted=None):
    """Return (headers, body) of an answer."""
    answer = InferAnswer("rain", "1", "q", tuple(outputs), {"compute_ms": 1.5})
    sent = []

    async def send(message):
        sent.append(message)

    async def run():
        response = await write_answer(answer, choice, accepted)
        await response({"type": "http"}, None, send)

    asyncio.run(run())
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(bytes(message["body"]) for message in sent[1:])
    assert int(headers["content-length"]) == len(body)
    return headers, body


def test_json_has_flat_lists():
    headers, body = write([PIXELS, DENSITY, TEXT], LISTED)
    assert headers["content-type"] == "application/json" and "inference-header-content-length" not in headers
    assert json.loads(body) == {
        "model_name": "rain",
        "model_version": "1",
        "id": "q",
        "parameters": {"compute_ms": 1.5},
        "outputs": [
            {"name": "restored", "datatype": "UINT8", "shape": [1, 2, 3], "data": [0, 1, 2, 3, 4, 5]},
            {"name": "density", "datatype": "FP32", "shape": [1], "data": [0.25]},
            {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["ä", ""]},
        ],
    }


def test_binary_data_follow_the_json_in_order():
    headers, body = write([PIXELS, TEXT, DENSITY], BINARY)
    length = int(headers["inference-header-content-length"])
    sizes = [one["parameters"]["binary_data_size"] for one in json.loads(body[:length])["outputs"]]
    assert sizes == [6, 10, 4]
    raw = struct.pack("<I", 2) + "ä".encode() + struct.pack("<I", 0)
    assert body[length:] == bytes(range(6)) + raw + struct.pack("<f", 0.25)


def test_both_forms_go_together():
    headers, body = write([PIXELS, DENSITY], BinaryChoice(named={"restored": True}))
    length = int(headers["inference-header-content-length"])
    pixels, density = json.loads(body[:length])["outputs"]
    assert "data" not in pixels and density["data"] == [0.25]
    assert body[length:] == bytes(range(6))


@pytest.mark.parametrize(("coding", "unpack"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
@pytest.mark.parametrize("choice", [BINARY, LISTED])
def test_encoded_answers_are_the_same_bytes(coding, unpack, choice):
    headers, body = write([PIXELS, DENSITY], choice, coding)
    plain_headers, plain = write([PIXELS, DENSITY], choice)
    assert headers["content-encoding"] == coding and unpack(body) == plain
    name = "inference-header-content-length"
    assert headers.get(name) == plain_headers.get(name), "lengths are those before the encoding"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        (" Deflate ", "deflate"),
        ("gzip, deflate, br", None),
        ("gzip;q=0", None),
    ],
)
def test_only_a_client_that_names_one_encoding_gets_it(accepted, coding):
    assert choose_coding(accepted) == coding


def test_contiguous_arrays_are_not_copied():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    view = view_raw(Tensor("x", "FP32", values))
    values[0, 0] = 7
    assert np.frombuffer(view, np.float32)[0] == 7


@pytest.mark.parametrize(
    "values",
    [
        np.arange(12, dtype=np.int16).reshape(3, 4).T,
        np.arange(3, dtype=">i4").astype(">i4"),
        np.zeros((0, 3), np.float32),
        np.array([True, False]),
    ],
    ids=["transposed", "big-endian", "empty", "bool"],
)
def test_arrays_of_any_layout_have_their_bytes_in_order(values):
    little = values.astype(values.dtype.newbyteorder("<"))
    assert bytes(view_raw(Tensor("x", "any", values))) == little.tobytes("C")


def test_picture_files_as_json_are_refused_before_the_work():
    with pytest.raises(BadRequestError, match="the output restored is a picture file.*ask for binary output"):
        check_choice(ENCODED, InferRequest("rain_bytes", ()), LISTED)
    check_choice(ENCODED, InferRequest("rain_bytes", (), outputs=("density",)), LISTED)
    check_choice(ENCODED, InferRequest("rain_bytes", ()), BINARY)


def test_bytes_that_are_no_text_are_refused_as_json():
    with pytest.raises(BadRequestError, match="the output x is no text"):
        write([pack_bytes("x", [b"\x89PNG"])], LISTED)


def test_more_values_than_json_should_hold_are_refused(monkeypatch):
    monkeypatch.setattr(answers, "JSON_VALUES", 6)
    write([PIXELS], LISTED)
    with pytest.raises(TooLargeError, match="has 7 values as JSON, and this server writes at most 6"):
        write([PIXELS, DENSITY], LISTED)
    write([PIXELS, DENSITY], BINARY)
