"""Exchange of raw HTTP requests over one connection each."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import Any

from tests.patience import PATIENCE
from tests.serving.fuzz.mutations import Wire

MOST = 64 * 1024**2


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sentence(self) -> str:
        """Text of the error, empty where there is none."""
        try:
            document: Any = json.loads(self.body)
        except ValueError:
            return ""
        return str(document.get("error", "")) if isinstance(document, dict) else ""


def exchange(address: str, wire: Wire) -> Answer | None:
    """Send a request as it says and read the answer; None where there is none, as after a closed connection."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        sent = False
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
            connection.sendall(wire.encode())
            sent = True
        if wire.close == "gone":
            return None
        if wire.close == "half" and sent:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return read_answer(connection, wire.method)
    return None


def read_answer(connection: socket.socket, method: str = "POST") -> Answer | None:
    """Read one answer; None where the connection ends before one is whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if lines[0].startswith("HTTP/1.1 100"):
        return _continue(connection, body, method)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split()[1])
    length = 0 if method == "HEAD" or status in (204, 304) else int(headers.get("content-length", "-1"))
    while len(body) < length or (length < 0 and "content-length" not in headers):
        piece = connection.recv(1 << 20)
        if not piece:
            break
        body += piece
        assert len(body) <= MOST
    return Answer(status, headers, body)


def _continue(connection: socket.socket, rest: bytes, method: str) -> Answer | None:
    class Rest:
        """The connection, after what was read already."""

        def __init__(self) -> None:
            self.data = rest

        def recv(self, size: int) -> bytes:
            """Return bytes that are left, then new ones."""
            if self.data:
                piece, self.data = self.data, b""
                return piece
            return connection.recv(size)

    return read_answer(Rest(), method)  # type: ignore[arg-type]
