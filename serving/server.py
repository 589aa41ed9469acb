"""Life of the server, from its sockets to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.children import open_standard_streams
from ..runtime.errors import UserError
from .access_log import AccessLog
from .addresses import Address, TlsFiles, bind_socket, resolve_host
from .http.app import make_app
from .http.listener import Listener
from .live.feeds import Feeds
from .live.views import View
from .options import Limits, ModelOptions
from .origins import Origins
from .plane.plane import DataPlane
from .system.notification import READY, STOPPING, ServiceManager
from .tokens import Tokens

MARGIN_SECONDS = 5.0
"""Time that the end waits for answers beyond the longest time of a request."""
CLOSE_SECONDS = 10.0
"""Longest time for closing the models."""

Say = Callable[[str], None]
"""Function that tells a person a sentence."""
TellReady = Callable[[dict[str, Any]], None]
"""Function that is called once, when every model answers; with models, http, grpc and pid."""


@dataclass(frozen=True)
class Doors:
    """Places where a server listens."""

    host: str = "127.0.0.1"
    http_port: int = 8000
    """0 for a free one."""
    grpc_port: int | None = 8001
    """0 for a free one; None for no gRPC."""
    tls: TlsFiles | None = None
    """Certificate and key of both doors; None for clear text."""
    grace: float = 0.0
    """Seconds between the signal to end and the end of listening, in which load balancers see that it is not ready."""

    def __post_init__(self) -> None:
        ports = [self.http_port, self.grpc_port or 0]
        if not all(0 <= port <= 65535 for port in ports) or (ports[0] == ports[1] != 0):
            raise UserError(f"the ports are {ports[0]} and {ports[1]}, expected two different ones from 0 to 65535")
        if not 0 <= self.grace < float("inf"):
            raise UserError(f"--grace is {self.grace} seconds, expected 0 or more")


class EndingPlane(DataPlane):
    """Data plane that is not ready during its end.

    It still answers then, until it is drained.
    """

    is_ending = False

    @property
    def is_ready(self) -> bool:
        """Whether every model answers requests and the server goes on."""
        return super().is_ready and not self.is_ending


def serve(
    models: Mapping[str, Path],
    options: ModelOptions,
    doors: Doors,
    *,
    limits: Limits,
    token: str | None = None,
    say: Say = lambda sentence: None,
    tell_ready: TellReady = lambda report: None,
    log: AccessLog | None = None,
    views: Sequence[View] = (),
) -> int:
    """Serve models until a signal ends the process.

    SIGTERM and Ctrl-C let requests finish that have come; a second signal ends the process at once.

    Args:
        models: bundles by the names that they are served under.
        options: how they are opened.
        doors: where to listen.
        limits: bounds on requests.
        token: token that clients must send; None for none, which only a loopback address allows.
        say: told where the server listens, and what is unsafe about that.
        tell_ready: see `TellReady`.
        log: log of requests; None for standard error.
        views: cameras and streams that are shown.

    Returns:
        Exit code: 0 when every request was answered, 1 when some were cut off.

    Raises:
        UserError: an address, a certificate or a model cannot be used.
    """
    open_standard_streams()
    log = log or AccessLog()
    plane = EndingPlane(models, options, limits, log)
    server = Server(plane, doors, limits=limits, token=token, log=log, views=views)
    with log.keep_writing():
        return asyncio.run(server.run(say, tell_ready))


class Server:
    """Data plane behind two doors."""

    def __init__(
        self,
        plane: EndingPlane,
        doors: Doors,
        *,
        limits: Limits,
        token: str | None,
        log: AccessLog,
        views: Sequence[View] = (),
    ) -> None:
        """Bind the sockets.

        Args:
            plane: models, not started.
            doors, limits, token, log, views: see `serve`.

        Raises:
            UserError: see `serve`.
        """
        self._plane, self._doors, self._limits, self._log = plane, doors, limits, log
        self._feeds = Feeds(views, plane, limits, log)
        plane.add_metrics(self._feeds.register)
        self._tokens = Tokens(token)
        self._address = resolve_host(doors.host)
        self._refuse_open_doors()
        self._tls = None if doors.tls is None else doors.tls.load()
        self._bound = bind_socket(self._address, doors.http_port, "--port")
        self._manager = ServiceManager()
        self._http: Listener | None = None
        self._grpc: Any = None
        self._end = asyncio.Event()
        self._signals = 0

    async def run(self, say: Say, tell_ready: TellReady) -> int:
        """Serve until a signal; see `serve`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take_signal, number)
        life = asyncio.ensure_future(self._manager.stay_alive())
        try:
            report = await self._open_doors(say)
            if await self._open_models():
                self._log.write("ready", **report)
                self._manager.tell(READY)
                tell_ready(report)
                await self._end.wait()
            self._manager.tell(STOPPING)
            return await self._close()
        finally:
            life.cancel()
            await self._release()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _refuse_open_doors(self) -> None:
        if not self._address.is_loopback and not self._tokens.are_asked:
            raise UserError(
                f"{self._doors.host} can be reached from other machines, and no token is asked for; "
                "give --token-file or set SPAIR_TOKEN, or listen on 127.0.0.1"
            )

    async def _open_doors(self, say: Say) -> dict[str, Any]:
        """Listen, and return where."""
        origins = Origins(self._doors.host)
        app = make_app(
            self._plane, tokens=self._tokens, limits=self._limits, log=self._log, origins=origins, feeds=self._feeds
        )
        self._http = Listener(app, self._bound, log=self._log, tls=self._tls)
        grpc_port = None if self._doors.grpc_port is None else self._add_grpc_port(self._doors.grpc_port)
        await self._http.start()
        if self._grpc is not None:
            await self._grpc.start()
        http = self._address.name(self._bound.getsockname()[1])
        grpc = None if grpc_port is None else self._address.name(grpc_port)
        report = {"models": sorted(one.name for one in self._plane.list_models()), "http": http, "grpc": grpc}
        self._log.write("start", pid=os.getpid(), tls=self._tls is not None, **report)
        scheme = "http" if self._tls is None else "https"
        say(f"listening on {scheme}://{http}" + ("" if grpc is None else f", gRPC on {grpc}"))
        for note in list_notes(self._address, is_tls=self._tls is not None):
            say(f"note: {note}")
        return {**report, "pid": os.getpid()}

    def _add_grpc_port(self, port: int) -> int:
        from .grpc.service import make_grpc_server

        # gRPC shares ports with whoever listens there, so a port in use has to be found first.
        with contextlib.closing(bind_socket(self._address, port, "--grpc-port")):
            pass
        self._grpc = make_grpc_server(self._plane, tokens=self._tokens, limits=self._limits, log=self._log)
        place = self._address.name(port)
        try:
            if self._doors.tls is None:
                found = self._grpc.add_insecure_port(place)
            else:
                import grpc

                certificate, key = self._doors.tls.read()
                credentials = grpc.ssl_server_credentials([(key, certificate)])
                found = self._grpc.add_secure_port(place, credentials)
        except RuntimeError as error:
            raise UserError(
                f"cannot listen on {place}: {error}; give another --grpc-port, or 0 for a free one"
            ) from error
        return int(found)

    async def _open_models(self) -> bool:
        """Open the models, and return False after a signal.

        Meanwhile the doors answer that nothing is ready.
        """
        start = asyncio.ensure_future(self._plane.start())
        end = asyncio.ensure_future(self._end.wait())
        try:
            await asyncio.wait({start, end}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                start.result()
            return start.done()
        finally:
            for task in (start, end):
                task.cancel()
            await asyncio.gather(start, end, return_exceptions=True)

    async def _close(self) -> int:
        """Finish what was taken, and return the exit code."""
        began = time.monotonic()
        self._log.write("drain", grace_seconds=self._doors.grace)
        self._plane.is_ending = True
        assert self._http is not None
        self._http.announce_end()
        if self._doors.grace:
            await asyncio.sleep(self._doors.grace)
        await self._feeds.close()
        seconds = self._limits.seconds + MARGIN_SECONDS
        grpc = [] if self._grpc is None else [self._grpc.stop(seconds)]
        finished, *_ = await asyncio.gather(self._http.drain(seconds), *grpc)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._plane.drain(), CLOSE_SECONDS)
        self._log.write("stop", seconds=round(time.monotonic() - began, 3), finished=finished)
        return 0 if finished else 1

    async def _release(self) -> None:
        """Close everything; after an error, too."""
        await self._feeds.close()
        if self._http is not None:
            await self._http.drain(0)
        if self._grpc is not None:
            await self._grpc.stop(None)
        self._bound.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._plane.close(), CLOSE_SECONDS)

    def _take_signal(self, number: int) -> None:
        self._signals += 1
        if self._signals > 1:
            sys.stderr.flush()
            os._exit(128 + number)
        self._end.set()


def list_notes(address: Address, *, is_tls: bool) -> list[str]:
    """List what is unsafe about an address, in sentences."""
    if address.is_loopback:
        return []
    notes = [f"{address.host} can be reached from other machines; every request there needs the token"]
    if not is_tls:
        notes.append("without --cert and --key the token and the pictures travel in clear text")
    return notes
