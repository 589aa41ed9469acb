"""Errors carry the headers that HTTP wants with their status."""

import pytest

from spair.runtime import UserError
from spair.serving import errors
from spair.serving.http.errors import ClientGoneError, SlowBodyError, UnknownEncodingError, make_headers


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (errors.UnauthenticatedError("x"), {"WWW-Authenticate": "Bearer"}),
        (errors.BusyError("x"), {"Retry-After": "1"}),
        (SlowBodyError("x"), {"Connection": "close"}),
        (UnknownEncodingError("x"), {"Accept-Encoding": "gzip, deflate"}),
        (errors.ForbiddenError("x"), {}),
        (UserError("x"), {}),
    ],
)
def test_headers_fit_the_status(error, headers):
    assert make_headers(error) == headers


def test_statuses_are_those_of_http():
    assert [one.http_status for one in (SlowBodyError, UnknownEncodingError, ClientGoneError)] == [408, 415, 499]
