import io
import json
import types

import grpc
import pytest

from spair.runtime import UserError
from spair.serving.access_log import AccessLog
from spair.serving.errors import BusyError, FailedError, ServingError, UnknownModelError
from spair.serving.grpc.call import Call, begin_call, describe_failure
from spair.serving.plane.messages import InferAnswer


def make_context(peer="ipv4:127.0.0.1:40000", metadata=()):
    return types.SimpleNamespace(peer=lambda: peer, invocation_metadata=lambda: metadata)


@pytest.mark.parametrize(
    ("peer", "client"),
    [("ipv4:127.0.0.1:40000", "127.0.0.1"), ("ipv6:%5B::1%5D:9", "::1"), ("unix:", "unix:")],
)
def test_a_call_knows_its_method_and_its_client(peer, client):
    call = begin_call("/a.B/ModelInfer", make_context(peer))
    assert (call.method, call.client) == ("ModelInfer", client)


@pytest.mark.parametrize(("given", "is_kept"), [("my-id", True), ("x" * 129, False), ("ä", False), ("", False)])
def test_an_id_of_the_caller_is_kept_if_it_is_short_and_printable(given, is_kept):
    call = begin_call("/a", make_context(metadata=(("x-request-id", given), ("x-request-id-bin", b"\xff"))))
    assert (call.request_id == given) == is_kept
    assert call.request_id


def every_error(kind=ServingError):
    return [kind, *(one for child in kind.__subclasses__() for one in every_error(child))]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_status_of_grpc(kind):
    failure = describe_failure(kind("a sentence"), "id")
    assert failure.code.name == kind.grpc_status
    assert (failure.sentence, failure.trace) == ("a sentence", None)


def test_a_user_error_is_an_invalid_argument():
    failure = describe_failure(UserError("no picture"), "id")
    assert (failure.code, failure.sentence) == (grpc.StatusCode.INVALID_ARGUMENT, "no picture")


def test_a_bug_is_told_without_its_text_and_logged_with_its_trace():
    try:
        raise KeyError("secret")
    except KeyError as error:
        failure = describe_failure(error, "id-1")
    assert (failure.code, failure.sentence) == (grpc.StatusCode.INTERNAL, "internal error, request id id-1")
    assert "secret" in failure.trace and "test_call.py" in failure.trace


def test_only_errors_that_pass_say_when_to_come_again():
    assert describe_failure(BusyError("full"), "a").metadata == (("x-request-id", "a"), ("retry-after", "1"))
    assert describe_failure(UnknownModelError("none"), "a").metadata == (("x-request-id", "a"),)


@pytest.mark.parametrize("kind", [FailedError, UserError])
def test_a_long_sentence_is_cut(kind):
    assert describe_failure(kind("x" * 800), "a").sentence == "x" * 800
    assert describe_failure(kind("x" * 801), "a").sentence == "x" * 400 + " … " + "x" * 400


def test_the_line_has_what_was_measured():
    stream = io.StringIO()
    call = Call("ModelInfer", "a", "127.0.0.1", model="rain", bytes_in=3, bytes_out=4)
    call.measured = InferAnswer("rain", "1", "", (), {"compute_ms": 1.5, "density": 0.25, "net_l_ms": 1.0}).measured
    call.write(AccessLog(stream), "OK")
    line = json.loads(stream.getvalue())
    assert line.pop("total_ms") >= 0 and line.pop("time")
    assert line == {
        "event": "request",
        "id": "a",
        "door": "grpc",
        "method": "ModelInfer",
        "client": "127.0.0.1",
        "status": "OK",
        "bytes_in": 3,
        "bytes_out": 4,
        "model": "rain",
        "compute_ms": 1.5,
        "density": 0.25,
    }


def test_the_trace_of_a_bug_is_a_line_of_its_own():
    stream = io.StringIO()
    Call("ModelInfer", "a", "b").write(AccessLog(stream), "INTERNAL", describe_failure(KeyError("secret"), "a"))
    error, request = map(json.loads, stream.getvalue().splitlines())
    assert (error["event"], error["id"]) == ("error", "a") and "KeyError: 'secret'" in error["traceback"]
    assert request["error"] == "internal error, request id a"
