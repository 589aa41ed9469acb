import time

import grpc
import pytest
from tritonclient.grpc import service_pb2

from tests.patience import PATIENCE
from tests.serving.grpc.fakes import ERRORS, Running, make_message
from tests.serving.grpc.frames import name_method, open_call, read_until, send_message

TOKEN = "0123456789abcdef"
TIMEOUT = {"timeout": PATIENCE}


@pytest.fixture
def door():
    with Running() as running:
        yield running


def fail(call, message, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        call(message, **{**TIMEOUT, **kwargs})
    return caught.value


def read_trailers(error):
    return {one.key: one.value for one in error.trailing_metadata()}


def test_an_answer_is_raw_and_names_its_model(door):
    message = make_message(id="a")
    response = door.stub.ModelInfer(message, **TIMEOUT)
    assert (response.model_name, response.model_version, response.id) == ("echo", "1", "a")
    assert response.raw_output_contents[0] == message.raw_input_contents[0]
    assert response.parameters["compute_ms"].double_param == 1.5
    assert response.parameters["packed"].bool_param and response.parameters["path"].string_param == "dense"


def test_the_line_of_a_call_says_what_it_was_and_took(door):
    message = make_message()
    response = door.stub.ModelInfer(message, metadata=(("x-request-id", "mine"),), **TIMEOUT)
    (line,) = door.wait_for_lines(1)
    assert line["total_ms"] > 0 and line["client"] == "127.0.0.1"
    assert {name: line[name] for name in ("event", "door", "method", "model", "status", "id")} == {
        "event": "request",
        "door": "grpc",
        "method": "ModelInfer",
        "model": "echo",
        "status": "OK",
        "id": "mine",
    }
    assert (line["bytes_in"], line["bytes_out"]) == (message.ByteSize(), response.ByteSize())
    assert (line["compute_ms"], line["queue_ms"], line["density"]) == (1.5, 0.25, 0.5)


def test_the_id_of_a_call_comes_back_whatever_its_end(door):
    metadata = (("x-request-id", "mine"),)
    _, call = door.stub.ModelInfer.with_call(make_message(), metadata=metadata, **TIMEOUT)
    assert ("x-request-id", "mine") in {(one.key, one.value) for one in call.trailing_metadata()}
    assert (
        read_trailers(fail(door.stub.ModelInfer, make_message("nobody"), metadata=metadata))["x-request-id"] == "mine"
    )
    assert len(read_trailers(fail(door.stub.ModelInfer, make_message("nobody")))["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("busy", "UNAVAILABLE"),
        ("late", "DEADLINE_EXCEEDED"),
        ("failed", "INTERNAL"),
        ("large", "INVALID_ARGUMENT"),
        ("user", "INVALID_ARGUMENT"),
        ("nobody", "NOT_FOUND"),
    ],
)
def test_errors_of_the_plane_keep_their_status_and_sentence(door, model, code):
    error = fail(door.stub.ModelInfer, make_message(model))
    sentence = str(ERRORS.get(model, "there is no model 'nobody'; served are echo"))
    assert (error.code().name, error.details()) == (code, sentence)
    assert read_trailers(error).get("retry-after") == ("1" if model == "busy" else None)
    line = door.wait_for_lines(1)[0]
    assert (line["status"], line["error"], line["model"]) == (code, sentence, model)


def test_a_bug_shows_its_trace_to_the_log_alone(door):
    error = fail(door.stub.ModelInfer, make_message("bug"), metadata=(("x-request-id", "mine"),))
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error, request id mine")
    traced, line = door.wait_for_lines(2)
    assert (traced["event"], traced["id"], line["status"]) == ("error", "mine", "INTERNAL")
    assert "KeyError: 'secret'" in traced["traceback"] and "Traceback" in traced["traceback"]


def test_a_sentence_longer_than_metadata_may_be_arrives_cut(door):
    error = fail(door.stub.ModelInfer, make_message("long"))
    assert error.code() == grpc.StatusCode.INTERNAL
    assert error.details() == "ä" * 400 + " … " + "ä" * 400


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "UNAUTHENTICATED"),
        ("Basic abc", "UNAUTHENTICATED"),
        ("Bearer wrong", "PERMISSION_DENIED"),
        (f"bearer {TOKEN}", None),
    ],
)
def test_only_callers_with_the_token_get_in(authorization, code):
    metadata = (("authorization", authorization),) if authorization else ()
    with Running(token=TOKEN) as door:
        if code is None:
            assert door.stub.ModelInfer(make_message(), metadata=metadata, **TIMEOUT).model_name == "echo"
            assert door.stub.ServerMetadata(service_pb2.ServerMetadataRequest(), metadata=metadata, **TIMEOUT).name
            return
        assert fail(door.stub.ModelInfer, make_message(), metadata=metadata).code().name == code
        assert (
            fail(door.stub.ServerMetadata, service_pb2.ServerMetadataRequest(), metadata=metadata).code().name == code
        )
        stream = door.stub.ModelStreamInfer(iter([make_message()]), metadata=metadata, **TIMEOUT)
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        assert caught.value.code().name == code
        assert door.plane.requests == []
        assert {line["status"] for line in door.wait_for_lines(3)} == {code}


def test_probes_need_no_token():
    with Running(token=TOKEN) as door:
        assert door.stub.ServerLive(service_pb2.ServerLiveRequest(), **TIMEOUT).live
        assert door.stub.ServerReady(service_pb2.ServerReadyRequest(), **TIMEOUT).ready


def test_a_caller_without_a_token_is_refused_before_its_message_is_read():
    with Running(token=TOKEN) as door:
        found = read_until(open_call(door.port, name_method("ModelInfer")), b"grpc-status")
    assert b"grpc-status\x0216" in found and b"Authorization: Bearer TOKEN" in found


def test_a_message_that_does_not_come_is_waited_for_only_so_long():
    with Running(seconds=0.05) as door:
        found = read_until(open_call(door.port, name_method("ModelInfer")), b"grpc-status")
        assert b"the message was not there in 0.05 seconds" in found
        assert door.wait_for_lines(1)[0]["status"] == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_a_message_beyond_the_limit_is_refused(compression):
    """Zeros shrink a thousandfold, so a compressed message is small on the wire."""
    with Running(body_bytes=100_000) as door:
        error = fail(door.stub.ModelInfer, make_message(raw_input_contents=[bytes(110_000)]), compression=compression)
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert door.plane.requests == []
        door.stub.ModelInfer(make_message(), compression=compression, **TIMEOUT)


def test_a_cancelled_call_is_given_up_by_the_plane(door):
    future = door.stub.ModelInfer.future(make_message("slow"), **TIMEOUT)
    assert door.plane.entered.acquire(timeout=PATIENCE)
    future.cancel()
    assert door.plane.cancelled.acquire(timeout=PATIENCE)
    assert door.wait_for_lines(1)[0]["status"] == "CANCELLED"


def test_a_call_whose_deadline_passes_is_given_up_by_the_plane(door):
    grpc.channel_ready_future(door.channel).result(PATIENCE)
    for seconds in (2, 16, 128):  # on a machine under load the call may pass its deadline before it comes
        future = door.stub.ModelInfer.future(make_message("slow"), timeout=seconds)
        if door.plane.entered.acquire(timeout=seconds):
            break
    else:
        pytest.fail("no call came to the plane")
    assert future.exception(PATIENCE).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert door.plane.cancelled.acquire(timeout=PATIENCE)


def test_the_line_of_a_call_whose_deadline_passes_says_so(door):
    """A client library would end the call itself at its deadline, which is earlier than the door's by the way there."""
    connection = open_call(door.port, name_method("ModelInfer"), [(b"grpc-timeout", b"200m")])
    send_message(connection, make_message("slow").SerializeToString())
    assert door.wait_for_lines(1)[0]["status"] == "DEADLINE_EXCEEDED"
    connection.close()


def test_the_plane_is_told_the_deadline(door):
    # gRPC sends a timeout in eight digits at most and rounds it up: to whole seconds from 100 s on,
    # to tens of seconds from 1,000 s on.
    before = time.monotonic()
    door.stub.ModelInfer(make_message(), timeout=900)
    assert before + 800 < door.plane.requests[0].deadline < time.monotonic() + 902
    door.stub.ModelInfer(make_message())
    assert door.plane.requests[1].deadline is None


def test_inference_calls_are_bounded_and_probes_are_not(monkeypatch):
    monkeypatch.setattr("spair.serving.grpc.bounds.CALLS", 2)
    with Running(queue=1) as door:
        futures = [door.stub.ModelInfer.future(make_message("slow"), **TIMEOUT) for _ in range(2)]
        for _ in futures:
            assert door.plane.entered.acquire(timeout=PATIENCE)
        error = fail(door.stub.ModelInfer, make_message())
        assert (error.code(), read_trailers(error)["retry-after"]) == (grpc.StatusCode.UNAVAILABLE, "1")
        assert door.stub.ServerReady(service_pb2.ServerReadyRequest(), **TIMEOUT).ready
        door.open_gate()
        assert [one.result(PATIENCE).model_name for one in futures] == ["slow", "slow"]
        assert door.stub.ModelInfer(make_message(), **TIMEOUT).model_name == "echo"


def test_a_call_without_a_message_is_refused(door):
    empty = door.channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
    error = fail(empty, iter(()))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "ended without a message" in error.details()
