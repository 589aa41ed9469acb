"""Listener of the HTTP door, on uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import socket
import ssl
import time
import traceback
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette

from ..access_log import AccessLog
from .connection import Guard, GuardedProtocol

KEEP_ALIVE_SECONDS = 75
"""Time that a connection waits for its next request; longer than clients and load balancers usually keep theirs."""
HANDSHAKE_SECONDS = 10.0
"""Longest time for the handshake of TLS."""
SILENT_SECONDS = 60.0
"""Time between two lines about a lack of descriptors."""


class Listener:
    """Server of an app on a bound socket."""

    def __init__(
        self,
        app: Starlette,
        bound: socket.socket,
        *,
        log: AccessLog,
        tls: ssl.SSLContext | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Prepare to listen.

        Args:
            app: the app.
            bound: socket of the address; it is closed at the end.
            log: log for warnings of uvicorn and for requests that the app does not see.
            tls: certificate and key; None for clear text.
            guard: bounds on connections; None for the usual ones.
        """
        config = uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # clients could put any address into the log
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._app, self._bound, self._log = app, bound, log
        self._server = _Server(config, guard or Guard(connections=count_connections()), log, tls)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take connections from now on."""
        self._task = asyncio.create_task(self._run())
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)
        if self._task.done():
            self._task.result()

    def announce_end(self) -> None:
        """Ask clients to close their connections after the next answer."""
        self._app.state.is_leaving = True

    async def drain(self, seconds: float) -> bool:
        """Take no more connections, and answer what has come.

        Args:
            seconds: longest time to wait.

        Returns:
            Whether every request was answered; the others are cancelled.
        """
        self.announce_end()
        if self._task is None:
            return True
        self._server.config.timeout_graceful_shutdown = max(1, round(seconds))
        self._server.should_exit = True
        await self._task
        left = list(self._server.server_state.connections)
        for connection in left:
            connection.transport.abort()
        return not left

    async def _run(self) -> None:
        asyncio.get_running_loop().set_exception_handler(LoopErrors(self._log))
        with _log_warnings(self._log):
            await self._server.serve(sockets=[self._bound])


def count_connections() -> int:
    """Return the largest number of open connections.

    It leaves half of the descriptors that the system gives this process for models, gRPC and what libraries open.
    """
    usual = Guard.connections
    try:
        import resource
    except ImportError:  # a system without such limits
        return usual
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return usual if most == resource.RLIM_INFINITY else max(1, min(usual, most // 2))


class LoopErrors:
    """Handler of the event loop's errors outside of requests.

    Where the system has no descriptor for a connection, the loop reports it thousands of times a second.
    """

    def __init__(self, log: AccessLog) -> None:
        """Write into a log."""
        self._log = log
        self._silent_until = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Write an error, a lack of descriptors only sometimes."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            trace = None if error is None else "".join(traceback.format_exception(error))
            self._log.write("error", source="asyncio", text=context.get("message"), traceback=trace)
        elif time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + SILENT_SECONDS
            text = f"connections wait, because no file descriptor is free ({error.strerror}); raise ulimit -n"
            self._log.write("warning", source="asyncio", text=text)


class _Server(uvicorn.Server):
    """Server of uvicorn with guarded connections, which leaves signals alone."""

    def __init__(self, config: uvicorn.Config, guard: Guard, log: AccessLog, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._guard, self._log, self._tls = guard, log, tls

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        make = functools.partial(GuardedProtocol, self.config, self.server_state, {}, guard=self._guard, log=self._log)
        handshake: dict[str, Any] = (
            {} if self._tls is None else {"ssl": self._tls, "ssl_handshake_timeout": HANDSHAKE_SECONDS}
        )
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(make, sock=one, backlog=self.config.backlog, **handshake) for one in sockets or []
        ]
        self.started = True


@contextlib.contextmanager
def _log_warnings(log: AccessLog) -> Iterator[None]:
    """Write warnings of uvicorn as lines of the access log."""
    logger = logging.getLogger("uvicorn.error")
    handler = _LogHandler(log)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _LogHandler(logging.Handler):
    """Handler that writes records of `logging` into the access log."""

    def __init__(self, log: AccessLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write(
            "error" if record.levelno >= logging.ERROR else "warning", source="uvicorn", text=self.format(record)
        )
