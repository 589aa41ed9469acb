import grpc
import pytest

from spair.serving.grpc.health import CHECK, NOT_SERVING, SERVING, HealthCheckRequest, HealthCheckResponse
from tests.patience import PATIENCE
from tests.serving.grpc.fakes import Running


@pytest.fixture(scope="module")
def door():
    with Running(token="0123456789abcdef") as running:
        yield running


def check(door, raw):
    return HealthCheckResponse.FromString(door.channel.unary_unary(CHECK)(raw, timeout=PATIENCE)).status


@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("", SERVING),
        ("inference.GRPCInferenceService", SERVING),
        ("echo", SERVING),
        ("broken", NOT_SERVING),
    ],
)
def test_health_is_told_without_a_token(door, service, status):
    assert check(door, HealthCheckRequest(service=service).SerializeToString()) == status


def test_messages_are_those_of_the_published_protocol():
    assert HealthCheckRequest(service="ab").SerializeToString() == b"\x0a\x02ab"
    assert HealthCheckResponse(status=SERVING).SerializeToString() == b"\x08\x01"


def test_a_server_that_is_not_ready_does_not_serve():
    with Running() as running:
        running.plane.is_ready = False
        assert check(running, b"") == NOT_SERVING


@pytest.mark.parametrize(
    ("raw", "code", "sentence"),
    [
        (b"\x0a\x02no", grpc.StatusCode.NOT_FOUND, "no service 'no'"),
        (b"\xff", grpc.StatusCode.INVALID_ARGUMENT, "1 bytes"),
    ],
)
def test_other_checks_are_refused(door, raw, code, sentence):
    with pytest.raises(grpc.RpcError, match=sentence) as caught:
        check(door, raw)
    assert caught.value.code() == code
