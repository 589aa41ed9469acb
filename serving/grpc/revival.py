"""Server that outlives a broken loop of its library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc

from ..access_log import AccessLog

PERIOD = 0.1
"""Seconds between two looks at the loop."""


class GrpcServer:
    """Server of grpc.aio with another one in reserve.

    The loop of grpc.aio that takes calls ends for good when the name of a method is no UTF-8 (seen with 1.85), so one
    request of a stranger could close the door. Calls that were taken before go on; a new server takes the ports.
    """

    def __init__(self, make: Callable[[], grpc.aio.Server], leave: Callable[[], None], log: AccessLog) -> None:
        """Make the first server.

        Args:
            make: function that makes a server without ports; it needs the running event loop.
            leave: function that is called when the server is to stop, and ends calls that would go on for ever.
            log: log of the server.
        """
        self._make, self._leave, self._log = make, leave, log
        self._server = make()
        self._ports: list[tuple[str, grpc.ServerCredentials | None]] = []
        self._broken: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    def add_insecure_port(self, address: str) -> int:
        """Open a port before the start.

        Args:
            address: host and port, as "127.0.0.1:8001"; port 0 takes a free one.

        Returns:
            The number of the port.

        Raises:
            RuntimeError: the port cannot be opened.
        """
        return self._add(address, None)

    def add_secure_port(self, address: str, credentials: grpc.ServerCredentials) -> int:
        """Open a port with TLS before the start; see `add_insecure_port`."""
        return self._add(address, credentials)

    def _add(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        number = _open_port(self._server, address, credentials)
        self._ports.append((f"{address.rpartition(':')[0]}:{number}", credentials))
        return number

    async def start(self) -> None:
        """Begin to take calls."""
        await self._server.start()
        self._watch = asyncio.create_task(self._revive())

    async def stop(self, grace: float | None) -> None:
        """Take no more calls, and finish those that were taken.

        Args:
            grace: seconds for them, after which they are cancelled; None cancels them at once.
        """
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self._leave()
        await self._server.stop(grace)
        for task in self._broken:
            task.cancel()
        await asyncio.gather(*self._broken, return_exceptions=True)
        self._stopped.set()

    async def wait_for_termination(self) -> None:
        """Wait until `stop` has ended."""
        await self._stopped.wait()

    async def _revive(self) -> None:
        """Replace the server whenever its loop ends with an error."""
        while True:
            try:
                await self._server.wait_for_termination(PERIOD)
            except Exception as error:  # the loop's own error, of any class
                self._log.write("restart", door="grpc", reason=f"{type(error).__name__}: {error}")
                await self._replace()

    async def _replace(self) -> None:
        broken, self._server = self._server, self._make()
        for address, credentials in self._ports:
            while True:
                try:
                    _open_port(self._server, address, credentials)
                    break
                except RuntimeError:  # the broken server has not closed it yet
                    await asyncio.sleep(PERIOD)
        await self._server.start()
        task = asyncio.create_task(_end(broken))
        self._broken.add(task)
        task.add_done_callback(self._broken.discard)


async def _end(server: grpc.aio.Server) -> None:
    """Release a broken server once its calls have ended.

    When cancelled it is released at once.
    """
    try:
        await server.wait_for_termination()
    except asyncio.CancelledError:
        await server.stop(None)
        raise
    except Exception:  # the error that broke it, again
        await server.stop(None)


def _open_port(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    if credentials is None:
        return int(server.add_insecure_port(address))
    return int(server.add_secure_port(address, credentials))
