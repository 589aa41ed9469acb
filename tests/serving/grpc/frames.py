"""HTTP/2 frames by hand, to say what no client library says."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from spair.serving.grpc.methods import PREFIX
from tests.patience import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4


def make_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Make a frame of HTTP/2 (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def make_headers(path: bytes, extra: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Make the block of headers of a call, each literal and without compression (RFC 7541, section 6.2.2)."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *extra,
    ]
    return b"".join(b"\0" + _make_text(name) + _make_text(value) for name, value in fields)


def _make_text(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, length = len(text) - 127, bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([*length, rest]) + text


def open_call(port: int, path: bytes, extra: Sequence[tuple[bytes, bytes]] = ()) -> socket.socket:
    """Open a connection and begin a call on it, without a message."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(PATIENCE)
    connection.sendall(
        PREFACE + make_frame(SETTINGS, 0, 0) + make_frame(HEADERS, END_HEADERS, 1, make_headers(path, extra))
    )
    return connection


def send_message(connection: socket.socket, message: bytes, *, length: int | None = None, flag: int = 0) -> None:
    """Send a message and end the call; the length may be another than the message has."""
    size = len(message) if length is None else length
    connection.sendall(make_frame(DATA, END_STREAM, 1, bytes([flag]) + struct.pack(">I", size) + message))


def read_until(connection: socket.socket, *words: bytes) -> bytes:
    """Read until one of the words comes or the connection ends, and close it."""
    found = b""
    with connection:
        while not any(word in found for word in words):
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            found += part
    return found


def name_method(name: str) -> bytes:
    """Return the path of a method of the protocol."""
    return (PREFIX + name).encode()
