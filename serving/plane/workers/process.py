"""Child process of a model, seen from the data plane."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....runtime.children import make_python_command
from .memory import Arena
from .protocol import Opened, Opening, Reply, Task, pack, unpack, unpack_reply

OPENING_SECONDS = 900.0
"""Longest time in seconds that a child has to open its model and to restore its first pictures."""
_GRACE = 5.0
"""Seconds that a child has to end by itself."""
_PROGRAM = """import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
from spair.serving.plane.workers.child import main
main(int(sys.argv[1]))"""


class WorkerLostError(Exception):
    """End of a child process or of its abilities."""


class OpeningError(Exception):
    """Model that its child process cannot open, with the reason."""


@dataclass(frozen=True)
class Lane:
    """Socket and memory for one task at a time."""

    socket: socket.socket
    arena: Arena

    def close(self) -> None:
        """Close both; may be called twice."""
        self.socket.close()
        self.arena.close()


class WorkerProcess:
    """Child process with an opened model.

    It owns the process, its sockets and its memory until `close`.
    """

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        """Take over a process; use `start` instead."""
        self._process, self._control = process, control
        self._reason = ""
        self.lanes: list[Lane] = []
        """Lanes, each for one task at a time."""
        self.opened = Opened()
        """Facts of the model."""

    @classmethod
    async def start(cls, order: Opening, seconds: float = OPENING_SECONDS) -> WorkerProcess:
        """Start a child process and wait for its model.

        Args:
            order: what to open.
            seconds: time that it has.

        Raises:
            OpeningError: the child says why it cannot open the model, or took too long.
            WorkerLostError: the child ended before.
            OSError: the system starts no process.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                process = _launch(theirs.fileno())
            except OSError:
                ours.close()
                raise
        worker = cls(process, ours)
        try:
            await asyncio.wait_for(worker._open(order), seconds)
        except BaseException as error:
            worker.kill("it was not ready")
            await worker.close()
            if isinstance(error, asyncio.TimeoutError):
                raise OpeningError(f"opening {order.path} took more than {seconds:g} seconds") from error
            raise
        return worker

    async def _open(self, order: Opening) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._control, pack(order))
            line = await _read_line(self._control)
        except ConnectionError:
            line = b""
        if not line:
            raise WorkerLostError(await self._describe_end())
        self.opened = unpack(Opened, line)
        if self.opened.failure:
            raise OpeningError(self.opened.failure)
        for _ in range(self.opened.lanes):
            ours, theirs = socket.socketpair()
            lane = Lane(ours, Arena())
            self.lanes.append(lane)
            ours.setblocking(False)
            with theirs:
                socket.send_fds(self._control, [b"+"], [theirs.fileno(), lane.arena.descriptor])

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def is_lost(self) -> bool:
        """Whether the process has ended or was killed."""
        return bool(self._reason)

    def read_memory(self) -> int | None:
        """Return the bytes of memory in use.

        None where the system does not say.
        """
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return None
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def ask(self, lane: Lane, task: Task, data: Sequence[bytes | np.ndarray], seconds: float) -> Reply:
        """Let the child compute a task.

        One task at a time may be on a lane.

        Args:
            lane: one of `lanes`.
            task: the task.
            data: pieces that are laid one behind the other into the lane's memory; arrays in C order.
            seconds: time after which the child counts as stuck.

        Returns:
            The reply; outputs stay in the lane's memory until the next task.

        Raises:
            WorkerLostError: the child ended, is stuck, or says that it can compute nothing any more.
        """
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(_write_all, lane.arena, data)
        try:
            await loop.sock_sendall(lane.socket, pack(task))
            line = await asyncio.wait_for(_read_line(lane.socket), seconds)
        except ConnectionError:
            line = b""
        except asyncio.TimeoutError:
            raise WorkerLostError(f"it did not answer for {seconds:.3g} seconds") from None
        if not line:
            raise WorkerLostError(await self._describe_end())
        try:
            reply = unpack_reply(line)
        except (ValueError, TypeError, KeyError) as error:
            raise WorkerLostError(f"its answer cannot be read ({error})") from error
        if reply.lost:
            raise WorkerLostError(reply.lost)
        return reply

    async def wait_lost(self) -> str:
        """Wait until the process has ended, and return how."""
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_recv(self._control, 1)
        return await self._describe_end()

    def kill(self, reason: str) -> None:
        """End the process at once.

        Args:
            reason: words that say why; those of the first call count.
        """
        self._reason = self._reason or reason
        if self._process.poll() is None:
            self._process.kill()

    async def close(self) -> None:
        """Let the process end; may be called twice."""
        self._reason = self._reason or "it was closed"
        self._control.close()
        await asyncio.to_thread(self._end)
        for lane in self.lanes:
            lane.close()

    def _end(self) -> None:
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def _describe_end(self) -> str:
        """Wait for the process's end and describe it."""
        if not self._reason:
            try:
                code = await asyncio.to_thread(self._process.wait, _GRACE)
            except subprocess.TimeoutExpired:
                code = 0
            self._reason = self._reason or _describe(code)
        return self._reason


def _launch(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        make_python_command(_PROGRAM, str(descriptor)),
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        stdout=2,  # what libraries print is no answer of the server, whose stdout may be read by programs
        start_new_session=True,  # Ctrl-C of the terminal reaches the parent alone
    )


def _describe(code: int) -> str:
    if code >= 0:
        return f"its process ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


def _write_all(arena: Arena, data: Sequence[bytes | np.ndarray]) -> None:
    place = 0
    for piece in data:
        place = arena.write(place, piece)


async def _read_line(stream: socket.socket) -> bytes:
    """Read a line.

    It is empty if the other side was closed before its end.
    """
    loop = asyncio.get_running_loop()
    line = bytearray()
    while not line.endswith(b"\n"):
        data = await loop.sock_recv(stream, 1 << 16)
        if not data:
            return b""
        line += data
    return bytes(line)
