"""Ids, tokens, errors and access log of all routes."""

from __future__ import annotations

import time
import traceback
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..access_log import AccessLog, choose_request_id
from ..origins import Origins
from ..tokens import Tokens
from .errors import ClientGoneError, make_headers

RECORD = "spair.record"
"""Key of the `Record` in the scope of a request."""


@dataclass
class Record:
    """Facts of a request for the access log."""

    id: str
    method: str
    path: str
    client: str | None
    arrived: float = field(default_factory=time.monotonic)
    status: int | None = None
    """Status of the answer; None until it begins."""
    bytes_in: int = 0
    bytes_out: int = 0
    error: str | None = None
    """Sentence that the client was told; None if it was none."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Values that only some routes know: model, density, queue_ms, compute_ms."""


class HttpDoor:
    """Middleware around all routes.

    Every answer has the header X-Request-Id and every request a line in the access log. An error becomes JSON with one
    sentence; a bug shows its traceback in the log alone.
    """

    def __init__(self, app: ASGIApp, *, tokens: Tokens, origins: Origins, log: AccessLog, free: Container[str]) -> None:
        """Stand around an app.

        Args:
            app: the routes.
            tokens: check of tokens.
            origins: check of web pages, where no token is asked for; with one, a foreign page has none to send.
            log: log of requests.
            free: paths that need neither.
        """
        self._app, self._tokens, self._origins, self._log, self._free = app, tokens, origins, log, free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        client = scope.get("client")
        record = Record(choose_request_id(headers), scope["method"], scope["path"], client and client[0])
        scope[RECORD] = record
        is_leaving = bool(getattr(scope["app"].state, "is_leaving", False))
        receive, send = _count_in(receive, record), _count_out(send, record, is_leaving)
        try:
            if scope["path"] not in self._free:
                self._check(headers)
            await self._app(scope, receive, send)
        except ClientGoneError as error:
            record.status = error.http_status
        except Exception as error:
            if record.status is not None:  # half an answer cannot become another one; the connection has to end
                raise
            await self._answer(error, record)(scope, receive, send)
        finally:
            self._write(record)

    def _check(self, headers: Headers) -> None:
        if self._tokens.are_asked:
            self._tokens.check(headers.get("authorization"))
        else:
            self._origins.check(headers.getlist("host"), headers.getlist("origin"))

    def _answer(self, error: Exception, record: Record) -> JSONResponse:
        status = getattr(error, "http_status", None)
        if isinstance(status, int):
            record.error = str(error)
            return JSONResponse({"error": record.error}, status, make_headers(error))
        self._log.write("error", id=record.id, traceback="".join(traceback.format_exception(error)))
        record.error = f"internal error, request id {record.id}"
        return JSONResponse({"error": record.error}, 500)

    def _write(self, record: Record) -> None:
        self._log.write(
            "request",
            id=record.id,
            door="http",
            method=record.method,
            path=record.path,
            client=record.client,
            status=record.status,
            bytes_in=record.bytes_in,
            bytes_out=record.bytes_out,
            total_ms=round(1000 * (time.monotonic() - record.arrived), 3),
            error=record.error,
            **record.facts,
        )


def _count_in(receive: Receive, record: Record) -> Receive:
    async def counted() -> Message:
        message = await receive()
        record.bytes_in += len(message.get("body", b""))
        return message

    return counted


def _count_out(send: Send, record: Record, is_leaving: bool) -> Send:
    async def counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            record.status = message["status"]
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            headers["X-Request-Id"] = record.id
            headers["X-Content-Type-Options"] = "nosniff"
            if is_leaving:  # so that the client opens its next connection elsewhere
                headers["Connection"] = "close"
            message = {**message, "headers": headers.raw}
        else:
            record.bytes_out += len(message.get("body", b""))
        await send(message)

    return counted
