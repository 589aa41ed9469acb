"""Callers that send anything at all; after each of them the door answers the next one."""

import random
import socket

import grpc
import pytest
from tritonclient.grpc import service_pb2

from spair.serving.grpc.methods import SERVICE
from tests.patience import PATIENCE
from tests.serving.grpc.fakes import Running, ask_until_answered, make_message
from tests.serving.grpc.frames import (
    DATA,
    HEADERS,
    PREFACE,
    SETTINGS,
    make_frame,
    make_headers,
    name_method,
    open_call,
    read_until,
    send_message,
)

ENDS = (b"grpc-status", b"\0\0\x04\x03", b"\0\0\x08\x07")
"""Trailers, a reset of the stream, and a farewell."""


@pytest.fixture(scope="module")
def door():
    with Running(body_bytes=1_000_000) as running:
        yield running


@pytest.fixture(autouse=True)
def _answers_the_next_caller(door):
    yield
    message = make_message(id="next")
    response = ask_until_answered(door.stub.ModelInfer, message)
    assert (response.id, response.raw_output_contents[0]) == ("next", message.raw_input_contents[0])


def make_garbage(seed):
    """Make random bytes, or a good message with some bytes changed, cut or doubled."""
    chance = random.Random(seed)
    if seed % 3 == 0:
        return chance.randbytes(chance.randrange(300))
    raw = bytearray(make_message(id="x", model_version="1").SerializeToString())
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(raw))
        raw[place] = chance.randrange(256)
    if seed % 3 == 1:
        del raw[chance.randrange(len(raw)) :]
    return bytes(raw)


@pytest.mark.parametrize("seed", range(8))
def test_random_messages_end_with_a_status_and_never_as_a_bug(door, seed):
    for method in ("ModelInfer", "ModelStreamInfer"):
        call = door.channel.stream_stream(name_method(method).decode())
        for place in range(25):
            raw = make_garbage(1000 * seed + place)
            try:
                answers = list(call(iter([raw]), timeout=PATIENCE))
                if method == "ModelStreamInfer":
                    answer = service_pb2.ModelStreamInferResponse.FromString(answers[0])
                    assert not answer.error_message.startswith("internal"), raw
            except grpc.RpcError as error:
                assert error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}, (raw, error)


@pytest.mark.parametrize("method", [one.name for one in SERVICE.methods])
def test_bytes_that_are_no_protobuf_are_refused_by_every_method(door, method):
    call = door.channel.unary_unary(name_method(method).decode())
    if method == "ModelStreamInfer":
        return  # its errors are answers, see above
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff", timeout=PATIENCE)
    assert caught.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/a",
        "/a/b/c",
        "/inference.GRPCInferenceService/",
        "/x/ModelInfer",
        "/inference.GRPCInferenceService/modelinfer",
        "/" + "x" * 5000,
    ],
)
def test_wrong_names_of_methods_are_unimplemented(door, path):
    with pytest.raises(grpc.RpcError, match="there is no method") as caught:
        door.channel.unary_unary(path)(b"", timeout=PATIENCE)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "path", [b"", b"\xff", b"/a/\xff\xfe", b"/inference.GRPCInferenceService/ModelInfer\xc3", b"\0", b"/a\nb"]
)
def test_names_that_no_client_library_sends_do_not_close_the_door(door, path):
    connection = open_call(door.port, path)
    send_message(connection, b"")
    read_until(connection, *ENDS)


@pytest.mark.parametrize("size", [4_000, 20_000, 1_000_000])
def test_huge_metadata_are_answered_or_refused(door, size):
    try:
        door.stub.ModelInfer(make_message(), metadata=(("x-much", "y" * size),), timeout=PATIENCE)
    except grpc.RpcError as error:
        assert error.code() in {
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.UNKNOWN,
            grpc.StatusCode.INTERNAL,
        }
        assert size > 4_000


@pytest.mark.parametrize(
    "extra",
    [
        [(b"x-request-id", b"\xff\xfe")],
        [(b"authorization", b"\xff")],
        [(b"grpc-timeout", b"-1x")],
        [(b"grpc-timeout", b"99999999H")],
        [(b"grpc-encoding", b"zzz")],
        [(b"x-bin", b"!!!")],
        [(b"x-%d" % place, b"y") for place in range(500)],
    ],
    ids=range(7),
)
def test_metadata_of_any_bytes_are_answered_or_refused(door, extra):
    connection = open_call(door.port, name_method("ServerLive"), extra)
    send_message(connection, b"")
    assert any(end in read_until(connection, *ENDS) for end in ENDS)


@pytest.mark.parametrize(
    ("message", "length", "flag"),
    [(b"", 2**32 - 1, 0), (b"ab", 100, 0), (b"abcd", 1, 0), (b"ab", 2, 1), (b"ab", 2, 7)],
)
def test_frames_that_lie_about_their_message_are_refused(door, message, length, flag):
    connection = open_call(door.port, name_method("ModelInfer"))
    send_message(connection, message, length=length, flag=flag)
    assert b"grpc-status\x010" not in read_until(connection, *ENDS)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        PREFACE[:10],
        PREFACE,
        PREFACE + make_frame(SETTINGS, 0, 0),
        PREFACE + make_frame(SETTINGS, 0, 0, b"\0"),
        PREFACE + make_frame(SETTINGS, 0, 0) + make_frame(DATA, 0, 1, b"abc"),
        PREFACE + make_frame(SETTINGS, 0, 0) + make_frame(HEADERS, 0, 1, make_headers(b"/a/b")[:20]),
        PREFACE + make_frame(SETTINGS, 0, 0) + make_frame(HEADERS, 4, 1, b"\xff" * 50),
        PREFACE + make_frame(SETTINGS, 0, 0) + make_frame(99, 255, 2**31 - 1, b"x" * 100),
        random.Random(3).randbytes(5000),
    ],
    ids=range(12),
)
def test_connections_that_speak_otherwise_do_not_disturb_others(door, sent):
    """They are half open while the next caller is answered, then closed without a farewell."""
    with socket.create_connection(("127.0.0.1", door.port)) as connection:
        connection.sendall(sent)
        assert door.stub.ModelInfer(make_message(id="beside"), timeout=PATIENCE).id == "beside"


def test_many_half_open_calls_do_not_disturb_others(door):
    open_ones = [open_call(door.port, name_method("ModelInfer")) for _ in range(50)]
    assert door.stub.ModelInfer(make_message(id="beside"), timeout=PATIENCE).id == "beside"
    for one in open_ones:
        one.close()
    cancelled = [line for line in door.wait_for_lines(50) if line.get("bytes_in") == 0]
    assert "internal" not in str(cancelled)
