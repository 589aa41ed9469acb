"""Record of a call for log and caller."""

from __future__ import annotations

import time
import traceback
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import grpc

from ...runtime.errors import UserError
from ..access_log import AccessLog, choose_request_id
from ..errors import BadRequestError, ServingError

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Failure:
    """Error as the caller sees it."""

    code: grpc.StatusCode
    sentence: str
    metadata: Metadata
    trace: str | None = None
    """Traceback for the log, where the error is a bug; the caller never sees it."""


@dataclass
class Call:
    """Call that is answered, or one message of a stream."""

    method: str
    request_id: str
    client: str
    model: str | None = None
    id: str = ""
    """Name that the caller gave the request, which the answer repeats."""
    bytes_in: int = 0
    bytes_out: int = 0
    measured: dict[str, str | int | float | bool] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    """Time of `time.monotonic` at which it came."""
    status: str | None = None
    """Name of the status, where something else than an error of the plane ended the call."""

    def write(self, log: AccessLog, status: str, error: Failure | None = None) -> None:
        """Write the line of the call.

        Args:
            log: log of the server.
            status: name of the gRPC status.
            error: failure that the caller was told.
        """
        if error is not None and error.trace is not None:
            log.write("error", id=self.request_id, traceback=error.trace)
        log.write(
            "request",
            id=self.request_id,
            door="grpc",
            method=self.method,
            client=self.client,
            status=status,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            total_ms=round(1000 * (time.monotonic() - self.began), 3),
            model=self.model,
            error=None if error is None else error.sentence,
            **self.measured,
        )


def read_metadata(context: Any) -> dict[str, str]:
    """Return the text entries of a call's metadata."""
    return {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}


def begin_call(path: str, context: Any) -> Call:
    """Begin the record of a call.

    Args:
        path: path of the method; what follows the last slash is its name.
        context: context of grpc.aio.
    """
    return Call(path.rpartition("/")[2][:200], choose_request_id(read_metadata(context)), _read_host(context.peer()))


def _read_host(peer: str) -> str:
    """Return the host of a peer.

    It is "127.0.0.1" of "ipv4:127.0.0.1:40000", and "::1" of "ipv6:%5B::1%5D:40000".
    """
    kind, _, place = urllib.parse.unquote(peer).partition(":")
    return place.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else peer


def describe_failure(error: Exception, request_id: str) -> Failure:
    """Describe an error to the caller.

    Args:
        error: an error of the plane or of the toolkit's user errors; any other is a bug, whose text stays in the log.
        request_id: name under which the log has it.
    """
    identity: Metadata = (("x-request-id", request_id),)
    if isinstance(error, UserError):
        error = BadRequestError(str(error))
    if not isinstance(error, ServingError):
        trace = "".join(traceback.format_exception(error))
        return Failure(grpc.StatusCode.INTERNAL, f"internal error, request id {request_id}", identity, trace)
    if error.retry_after is not None:
        identity += (("retry-after", str(error.retry_after)),)
    return Failure(grpc.StatusCode[error.grpc_status], str(error), identity)
