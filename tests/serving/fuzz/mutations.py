"""Requests that are almost right.

Each mutation takes a good request and a generator of random numbers, and returns what a careless or hostile client
would send: bytes on the wire, in pieces, and how the connection is treated.
"""

from __future__ import annotations

import gzip
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Header = tuple[str, str]


@dataclass(frozen=True)
class Wire:
    """An HTTP request as it is sent."""

    path: str
    headers: tuple[Header, ...]
    body: bytes
    method: str = "POST"
    chunks: tuple[int, ...] = ()
    """Sizes of the pieces of a chunked body; none sends Content-Length."""
    cut: int | None = None
    """Bytes after which the client stops sending."""
    close: str = "read"
    """After sending: "read" the answer, "half" closes its half and reads, "gone" closes without reading."""
    length: str | None = None
    """Content-Length that is said in place of the right one."""
    raw: bytes | None = None
    """Bytes to send in place of a request."""

    def encode(self) -> bytes:
        """The bytes on the wire."""
        if self.raw is not None:
            return self.raw
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.chunks:
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {self.length if self.length is not None else len(self.body)}")
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        data = head + (self._chunked() if self.chunks else self.body)
        return data if self.cut is None else data[: self.cut]

    def _chunked(self) -> bytes:
        pieces, place = [], 0
        for size in self.chunks:
            piece = self.body[place : place + size]
            place += size
            if piece:
                pieces.append(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if self.body[place:]:
            pieces.append(f"{len(self.body) - place:x}\r\n".encode() + self.body[place:] + b"\r\n")
        return b"".join(pieces) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Good:
    """A good request in parts."""

    model: str
    document: dict[str, Any]
    binary: bytes

    def wire(self, document: Any = None, binary: bytes | None = None, **changes: Any) -> Wire:
        """The request, with parts replaced."""
        head = json.dumps(self.document if document is None else document).encode()
        headers = (("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", str(len(head))))
        body = head + (self.binary if binary is None else binary)
        return replace(Wire(f"/v2/models/{self.model}/infer", headers, body), **changes)


def make_pixels(model: str, image: np.ndarray) -> Good:
    """A request for the model that takes pixels [N, 3, H, W]."""
    entry = {"name": "image", "datatype": "UINT8", "shape": list(image.shape)}
    document = {
        "inputs": [{**entry, "parameters": {"binary_data_size": image.nbytes}}],
        "parameters": {"binary_data_output": True},
    }
    return Good(model, document, image.tobytes())


def make_encoded(model: str, data: bytes) -> Good:
    """A request for the model that takes picture files."""
    binary = struct.pack("<I", len(data)) + data
    entry = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(binary)}}
    return Good(model, {"inputs": [entry], "parameters": {"binary_data_output": True}}, binary)


HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**70, -(2**63), 1.5, float("1e308"), "", "image", "\ud800", "a" * 5000,
    [], {}, [[]], [None], {"a": {"b": {}}}, "../../etc/passwd", "%s%n", "\x00",
)  # fmt: skip
ODD_TYPES = ("UINT8", "INT8", "FP32", "FP64", "BOOL", "BYTES", "BF16", "uint8", "UINT128", "", 8, None)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


def _put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    target = copy
    for key in path[:-1]:
        target = target[key]
    if value is _DROP:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return copy


_DROP = object()


def odd_value(good: Good, chance: random.Random) -> Wire:
    """Replace a value of the document."""
    return good.wire(_put(good.document, chance.choice(_places(good.document)), chance.choice(ODD_VALUES)))


def dropped_value(good: Good, chance: random.Random) -> Wire:
    """Leave a value of the document out."""
    return good.wire(_put(good.document, chance.choice(_places(good.document)), _DROP))


def odd_shape(good: Good, chance: random.Random) -> Wire:
    """Claim another shape than the bytes have."""
    sizes = (0, 1, 2, 3, 4, 7, 64, 100_000, 2**31 - 1, 2**32, 2**62, -1, -3)
    shape = [chance.choice(sizes) for _ in range(chance.randrange(0, 7))]
    return good.wire(_put(good.document, ("inputs", 0, "shape"), shape))


def odd_type(good: Good, chance: random.Random) -> Wire:
    """Claim another datatype."""
    return good.wire(_put(good.document, ("inputs", 0, "datatype"), chance.choice(ODD_TYPES)))


def odd_length(good: Good, chance: random.Random) -> Wire:
    """Claim another number of bytes of the tensor, with the bytes as they are or cut."""
    size = len(good.binary)
    claimed = chance.choice((0, 1, size - 1, size + 1, size * 2, 2**31, 2**63, -1))
    binary = good.binary if chance.random() < 0.5 else good.binary[: max(0, chance.randrange(-1, size + 1))]
    return good.wire(_put(good.document, ("inputs", 0, "parameters", "binary_data_size"), claimed), binary)


def flipped_bytes(good: Good, chance: random.Random) -> Wire:
    """Change some bytes of the body."""
    wire = good.wire()
    body = bytearray(wire.body)
    for _ in range(chance.randrange(1, 20)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return replace(wire, body=bytes(body))


def header_length(good: Good, chance: random.Random) -> Wire:
    """Claim another length of the JSON part."""
    claimed = chance.choice(("0", "-1", "1", "99999999999", "abc", "", "1e3", "0x10", "+5", " 7", "१"))
    return good.wire(headers=(("Inference-Header-Content-Length", claimed),))


def odd_headers(good: Good, chance: random.Random) -> Wire:
    """Play games with headers."""
    extra = chance.choice(
        (
            ("Content-Encoding", chance.choice(("gzip", "deflate", "br", "identity", "gzip, gzip", "\xff", ""))),
            ("Transfer-Encoding", chance.choice(("chunked", "gzip", "identity", "chunked, chunked"))),
            ("Content-Length", chance.choice(("5", "0", "-1", "1, 2", "9" * 30))),
            ("Expect", "100-continue"),
            ("Connection", chance.choice(("close", "upgrade", "keep-alive, Upgrade"))),
            ("Upgrade", chance.choice(("websocket", "h2c"))),
            ("Accept-Encoding", chance.choice(("gzip;q=0", "*;q=1", "\x01", "gzip" * 500))),
            ("X-Request-Id", chance.choice(("a" * 4000, "\xe9", "a\tb", ""))),
            ("Authorization", chance.choice(("Bearer", "Bearer \xff\xfe", "Basic eA==", "Bearer " + "a" * 5000))),
            ("Cookie", "a=b; " * 400),
            ("X-" + "a" * chance.choice((10, 1000, 70_000)), "b"),
            (
                "Content-Type",
                chance.choice(("text/html", "multipart/form-data", "", "application/json; charset=utf-7")),
            ),
        )
    )
    wire = good.wire()
    return replace(wire, headers=(*wire.headers, extra))


def odd_path(good: Good, chance: random.Random) -> Wire:
    """Ask for another path or with another method."""
    model = chance.choice(("absent", good.model, "..%2f..", "%00", "a" * 3000, "%F0%9F", good.model + "%20", "*"))
    version = chance.choice(("", "/versions/1", "/versions/2", "/versions/-1", "/versions/a", "/versions/" + "9" * 400))
    action = chance.choice(("/infer", "", "/ready", "/config", "/stats", "/generate", "/infer/infer"))
    method = chance.choice(("POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"))
    return good.wire(path=f"/v2/models/{model}{version}{action}", method=method)


def cut_off(good: Good, chance: random.Random) -> Wire:
    """Stop in the middle and go away."""
    wire = good.wire()
    return replace(wire, cut=chance.randrange(0, len(wire.encode())), close=chance.choice(("half", "gone")))


def gone_early(good: Good, chance: random.Random) -> Wire:
    """Send all and do not wait."""
    return good.wire(close="gone")


def half_closed(good: Good, chance: random.Random) -> Wire:
    """Send all, close this half, and read."""
    return good.wire(close="half")


def chunked(good: Good, chance: random.Random) -> Wire:
    """Send the body in pieces, perhaps without an end."""
    wire = good.wire(chunks=tuple(chance.randrange(1, 3000) for _ in range(chance.randrange(1, 9))))
    if chance.random() < 0.3:
        return replace(wire, cut=chance.randrange(1, len(wire.encode())), close="half")
    return wire


def bad_chunks(good: Good, chance: random.Random) -> Wire:
    """Break the framing of a chunked body."""
    head = (
        f"POST /v2/models/{good.model}/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    size = chance.choice((b"zz", b"-1", b"ffffffffffffffff", b"fffffffffffffffff0", b"", b"5;" + b"a" * 9000, b" 5"))
    return good.wire(raw=head + size + b"\r\n" + good.binary[:5] + b"\r\n0\r\n\r\n", close="half")


def wrong_length(good: Good, chance: random.Random) -> Wire:
    """Claim another length of the body."""
    size = len(good.wire().body)
    claimed = chance.choice((str(size - 1), str(size + 1), "0", "-5", str(2**40), str(2**64), "1e2", "0x20", "two"))
    return good.wire(length=claimed, close="half")


def compressed(good: Good, chance: random.Random) -> Wire:
    """Compress the body, damage it, or make it a bomb."""
    wire = good.wire()
    kind = chance.choice(("gzip", "deflate"))
    data = wire.body
    what = chance.choice(("good", "bomb", "damaged", "cut", "plain"))
    if what == "bomb":
        data = data + b"\0" * 400_000_000 if chance.random() < 0.02 else data + b"\0" * 20_000_000
    packed = gzip.compress(data, 1) if kind == "gzip" else zlib.compress(data, 1)
    if what == "damaged":
        place = chance.randrange(len(packed))
        packed = packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :]
    elif what == "cut":
        packed = packed[: chance.randrange(len(packed))]
    elif what == "plain":
        packed = wire.body
    return replace(wire, headers=(*wire.headers, ("Content-Encoding", kind)), body=packed)


def json_only(good: Good, chance: random.Random) -> Wire:
    """Send values as JSON, some of them wrong."""
    document = json.loads(json.dumps(good.document))
    entry = document["inputs"][0]
    entry.pop("parameters", None)
    count = int(np.prod(entry["shape"]))
    values: Any = [chance.randrange(256) for _ in range(min(count, 4000))]
    change = chance.choice(("good", "nested", "short", "odd", "deep", "text"))
    if change == "nested":
        values = [values, [values]]
    elif change == "short":
        values = values[: chance.randrange(len(values) + 1)]
    elif change == "odd":
        values[chance.randrange(len(values))] = chance.choice(ODD_VALUES)
    elif change == "deep":
        for _ in range(chance.choice((20, 2000))):
            values = [values]
        if chance.random() < 0.3:
            return Wire(f"/v2/models/{good.model}/infer", (), b'{"inputs":' + b"[" * 200_000)
    elif change == "text":
        values = "0" * 1000
    entry["data"] = values
    return Wire(f"/v2/models/{good.model}/infer", (("Content-Type", "application/json"),), _dump(document))


def _dump(document: Any) -> bytes:
    try:
        return json.dumps(document).encode()
    except RecursionError:
        return b"[" * 100_000


def not_json(good: Good, chance: random.Random) -> Wire:
    """Send something else than JSON."""
    body = chance.choice(
        (b"", b"null", b"[]", b"\xff\xfe", b"{", b'"x"', b"NaN", b'{"inputs": 5}', b"<xml/>", b"{}" * 9)
    )
    return Wire(f"/v2/models/{good.model}/infer", (), body)


def garbage(good: Good, chance: random.Random) -> Wire:
    """Send no HTTP at all."""
    preface = chance.choice(
        (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET", b"\r\n\r\n")
    )
    return good.wire(raw=preface + chance.randbytes(chance.randrange(0, 400)), close="half")


def outputs_asked(good: Good, chance: random.Random) -> Wire:
    """Ask for odd outputs."""
    document = json.loads(json.dumps(good.document))
    names = ("restored", "mask", "density", "absent", "", 5, None)
    document["outputs"] = [
        {"name": chance.choice(names), "parameters": {"binary_data": chance.choice((True, False, "yes", 1))}}
        for _ in range(chance.randrange(0, 5))
    ]
    document["parameters"] = chance.choice(
        ({}, {"timeout": -1}, {"timeout": "x"}, {"timeout": 1}, {"format": "exe"}, 7)
    )
    document["id"] = chance.choice(("", "x", 7, "a" * 9000, None))
    return good.wire(document)


MUTATIONS: tuple[Callable[[Good, random.Random], Wire], ...] = (
    odd_value, dropped_value, odd_shape, odd_type, odd_length, flipped_bytes, header_length, odd_headers, odd_path,
    cut_off, gone_early, half_closed, chunked, bad_chunks, wrong_length, compressed, json_only, not_json, garbage,
    outputs_asked,
)  # fmt: skip
