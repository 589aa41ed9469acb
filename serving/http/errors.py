"""Errors that only the HTTP door has."""

from __future__ import annotations

from ..errors import ServingError


class SlowBodyError(ServingError):
    """Body that was not there in time."""

    http_status = 408
    grpc_status = "DEADLINE_EXCEEDED"


class UnknownEncodingError(ServingError):
    """Body in an encoding that this server does not read."""

    http_status = 415
    grpc_status = "INVALID_ARGUMENT"


class ClientGoneError(ServingError):
    """End of a connection whose client waits no more.

    The status is one that servers write into logs by custom; nobody receives it.
    """

    http_status = 499
    grpc_status = "CANCELLED"


def make_headers(error: Exception) -> dict[str, str]:
    """Return the headers that an error's answer has.

    Args:
        error: an error with `http_status`.
    """
    status = getattr(error, "http_status", 500)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 408:
        headers["Connection"] = "close"
    if status == 415:
        headers["Accept-Encoding"] = "gzip, deflate"
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return headers
