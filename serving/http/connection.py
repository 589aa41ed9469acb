"""Connections that slow and greedy clients cannot hold."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from ..access_log import AccessLog
from .lingering import LingeringTransport

HEADER_BYTES = 32
"""Bytes that a header counts beside its name and value, as in HTTP/2, since even an empty one takes memory."""


@dataclass(frozen=True)
class Guard:
    """Bounds on a connection; seconds and bytes."""

    connections: int = 512
    """Largest number of open connections. Above it, the one that has waited longest for a request is closed."""
    head_seconds: float = 10.0
    """Longest time from the first byte of a request, or from the opening of a connection, to the end of its headers."""
    head_bytes: int = 64 * 1024
    """Largest size of a request's line and headers."""
    rest_seconds: float = 60.0
    """Longest time for the rest of a body that nobody reads, because the request was refused before its end."""
    rest_bytes: int = 1024**3
    """Largest size of that rest."""
    quiet_seconds: float = 5.0
    """Longest time in which nothing comes of the rest of a connection that ends after the answer."""
    stall_seconds: float = 30.0
    """Time in which a client that reads slowly must take `stall_bytes` of an answer."""
    stall_bytes: int = 64 * 1024
    linger_seconds: float = 1.0
    """Time that an idle connection stays open while the server ends, for requests that are on their way."""


class HeadError(Exception):
    """Request line and headers beyond the bounds."""


class GuardedProtocol(HttpToolsProtocol):
    """Connection with bounds on time and bytes.

    uvicorn bounds only the time between requests. Each request goes through the phases head (line and headers), body
    (an endpoint is at work) and rest (answered, but not all of its body has come).
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, guard: Guard, log: AccessLog
    ) -> None:
        """Wait for a connection.

        Args:
            config, server_state, app_state: see uvicorn.
            guard: bounds.
            log: log for requests that no endpoint sees.
        """
        super().__init__(config, server_state, app_state)
        self._guard, self._log = guard, log
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._since = time.monotonic()
        self._in_head = self._in_message = self._is_refused = False
        self._until = 0.0
        self._raw = self._head = self._content = self._rest = 0
        self._reason = (400, "this is no HTTP request")

    @property
    def waiting_since(self) -> float | None:
        """Time since which no whole head has come.

        None while a request is at work.
        """
        is_idle = self._in_head or self.cycle is None or self.cycle.response_complete
        return self._since if is_idle else None

    # Phases

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection while there are not too many."""
        self._ending = LingeringTransport(transport, is_sending=self._is_sending, begin=self._linger)
        super().connection_made(self._ending)  # type: ignore[arg-type]
        self._start(self._guard.head_seconds, self._cut_head)
        if len(self.connections) <= self._guard.connections:
            return
        others = [one for one in self.connections if one is not self and isinstance(one, GuardedProtocol)]
        waiting = [(one.waiting_since, one) for one in others if one.waiting_since is not None]
        if waiting:
            min(waiting, key=lambda pair: pair[0])[1].transport.abort()
        else:
            self._refuse(503, f"all {self._guard.connections} connections of this server are at work; try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._ending.cut()
        self._stop()
        if self._stall is not None:
            self._stall.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._ending.is_lingering:
            self._drop(len(data))
            return
        if self._timer is None and not self._in_message:
            self._start(self._guard.head_seconds, self._cut_head)  # blank lines before a request count, too
        self._raw += len(data)
        super().data_received(data)
        # What is neither content nor a chunk's length: heads, trailers, extensions of chunks.
        if self._in_message and self._raw - self._content > self._guard.head_bytes + 8 * self._content:
            self._refuse(431, f"the headers of the request have more than {self._guard.head_bytes} bytes")

    def on_message_begin(self) -> None:
        """Begin the head of a request."""
        self._in_head = self._in_message = True
        self._raw = self._head = self._content = self._rest = 0
        self._since = time.monotonic()
        self._start(self._guard.head_seconds, self._cut_head)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or trailer."""
        self._count_head(len(name) + len(value) + HEADER_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the body of a request."""
        self._in_head = False
        self._stop()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body.

        It is dropped where the request was answered before.
        """
        self._content += len(body)
        if self.cycle.response_complete:
            self._rest += len(body)
            if self._rest > self._guard.rest_bytes:
                self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body of a request."""
        self._in_message = False
        if self.cycle.response_complete:
            self._stop()
            self._await_next()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer."""
        self._since = time.monotonic()
        super().on_response_complete()
        if self._in_message and not self._in_head and self.cycle.response_complete and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._start(self._guard.rest_seconds, self.transport.abort)

    def shutdown(self) -> None:
        """Answer what has come, and close after that.

        An idle connection stays for a moment, since its client may just have sent a request.
        """
        if self._ending.is_lingering:
            self._ending.cut()
        elif self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(self._guard.linger_seconds, self._close_if_idle)

    # Slow readers

    def pause_writing(self) -> None:
        """Watch whether the client reads on."""
        super().pause_writing()
        self._watch_reader(None)

    def resume_writing(self) -> None:
        """Stop watching the client."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _watch_reader(self, before: int | None) -> None:
        size = self.transport.get_write_buffer_size()
        if before is not None and before - size < self._guard.stall_bytes:
            self.transport.abort()
            return
        self._stall = self.loop.call_later(self._guard.stall_seconds, self._watch_reader, size)

    # Refusals

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request."""
        self._refuse(*self._reason)

    def _count_head(self, count: int) -> None:
        self._head += count
        if self._head > self._guard.head_bytes:
            self._reason = (431, f"the headers of the request have more than {self._guard.head_bytes} bytes")
            raise HeadError

    def _cut_head(self) -> None:
        is_idle = self.cycle is None or self.cycle.response_complete
        if self.flow.read_paused:  # a request came behind one that is at work; it could not go on
            self._start(self._guard.head_seconds, self._cut_head)
        elif self._in_head:
            self._refuse(408, f"the headers were not there within {self._guard.head_seconds:g} seconds")
        elif is_idle:
            self.transport.close()

    def _refuse(self, status: int, sentence: str) -> None:
        """Refuse a request that no endpoint sees.

        The connection is closed after that.
        """
        if self.transport.is_closing():
            return
        request_id = uuid.uuid4().hex
        self._log.write(
            "request", id=request_id, door="http", status=status, client=self.client and self.client[0], error=sentence
        )
        if self._can_answer():  # else the client would take it for part of an answer, or for another one
            body = json.dumps({"error": sentence}).encode()
            extra = "retry-after: 1\r\n" if status == 503 else ""
            head = (
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\nx-request-id: {request_id}\r\n"
                f"{extra}connection: close\r\n\r\n"
            )
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._is_refused = True
        self.transport.close()

    def _can_answer(self) -> bool:
        """Tell whether an answer now would be to this request."""
        if self.cycle is None or self.cycle.response_complete:
            return True
        return self._in_message and not self._in_head and not self.cycle.response_started

    # Rests of what was refused, on connections that end

    def _is_sending(self) -> bool:
        return self._is_refused or self._in_message

    def _linger(self) -> None:
        """Begin to drop what still comes."""
        self._rest = 0
        self._until = time.monotonic() + self._guard.rest_seconds
        self._drop(0)

    def _drop(self, count: int) -> None:
        self._rest += count
        if self._rest > self._guard.rest_bytes:
            self.transport.abort()
        else:
            self._start(min(self._guard.quiet_seconds, self._until - time.monotonic()), self._ending.cut)

    # Timers

    def _start(self, seconds: float, act: Callable[[], None]) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, act)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _await_next(self) -> None:
        """Bound the time until the next request."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _close_if_idle(self) -> None:
        if self._ending.is_lingering or self.cycle is None or self.cycle.response_complete:
            self._ending.cut()
        else:
            self.cycle.keep_alive = False
