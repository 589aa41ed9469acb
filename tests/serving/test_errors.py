"""Each error carries its statuses, and only those that time mends say when to come again."""

import grpc
import pytest

from spair.serving import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ServingError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_statuses_of_both_protocols(kind):
    assert 400 <= kind.http_status < 600 and kind.grpc_status.isupper()
    assert str(kind("a sentence")) == "a sentence"


def test_statuses_of_grpc_exist():
    assert {kind.grpc_status for kind in KINDS} <= {code.name for code in grpc.StatusCode}


def test_only_a_busy_server_asks_to_come_again():
    assert {kind for kind in KINDS if kind.retry_after is not None} == {errors.BusyError}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.BadRequestError, 400),
        (errors.UnauthenticatedError, 401),
        (errors.ForbiddenError, 403),
        (errors.UnknownModelError, 404),
        (errors.TooLargeError, 413),
        (errors.FailedError, 500),
        (errors.BusyError, 503),
        (errors.DeadlineError, 504),
    ],
)
def test_statuses_of_http_are_those_of_its_standard(kind, status):
    assert kind.http_status == status


def test_what_a_request_holds_does_not_make_messages_endless():
    short = errors.BadRequestError("the input image has the shape [1], expected four sizes")
    assert str(short) == "the input image has the shape [1], expected four sizes"
    long = str(errors.BadRequestError(f"the input image has the shape ['{'a' * 5000}'], expected four sizes"))
    assert len(long) < errors.LONGEST + 10
    assert long.startswith("the input image has the shape ['aaa")
    assert long.endswith("aaa'], expected four sizes")
