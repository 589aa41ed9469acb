"""Bodies are read whole or refused early, whatever their length, speed and encoding are."""

import asyncio
import gzip
import time
import zlib
from types import SimpleNamespace

import pytest

from spair.serving.budget import Budget
from spair.serving.errors import BadRequestError, BusyError, TooLargeError
from spair.serving.http import body as body_module
from spair.serving.http.body import decompress, read_body
from spair.serving.http.errors import ClientGoneError, SlowBodyError, UnknownEncodingError
from spair.serving.options import Limits

LIMITS = Limits(body_bytes=1000)


def read(parts, headers=None, limits=LIMITS, budget=None, arrived=None):
    """Read a body that comes in parts; None is the end of the connection, ... a client that sends no more."""
    waiting = list(parts)

    async def receive():
        part = waiting.pop(0)
        if part is ...:
            await asyncio.Event().wait()
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def run():
        with (budget or Budget(10**9)).hold() as take:
            at = time.monotonic() if arrived is None else arrived
            return await read_body(headers or {}, receive, limits, at, take)

    result = asyncio.run(run())
    assert not waiting
    return bytes(result)


@pytest.mark.parametrize("parts", [[b""], [b"a" * 1000], [b"a" * 999, b"b"], [b"", b"ab", b""]])
def test_parts_are_put_together_up_to_the_limit(parts):
    assert read(parts) == b"".join(parts)


def test_an_announced_length_over_the_limit_is_refused_before_reading():
    with pytest.raises(TooLargeError, match="the body has 1001 bytes, and this server takes at most 1000"):
        read([b"never read"], {"content-length": "1001"})


def test_parts_over_the_limit_are_refused_as_they_come():
    with pytest.raises(TooLargeError, match="more than 1000 bytes"):
        read([b"a" * 600, b"a" * 600, b"never read"])


def test_a_body_that_comes_too_slowly_is_given_up(monkeypatch):
    monkeypatch.setattr(body_module, "time", SimpleNamespace(monotonic=lambda: 0.0))  # the wait alone takes time
    with pytest.raises(SlowBodyError, match="2 bytes of the body came in 0.02 seconds and more were to come"):
        read([b"ab", ...], limits=Limits(seconds=0.02), arrived=0.0)


def test_the_end_of_the_connection_is_noticed():
    with pytest.raises(ClientGoneError, match="within the body"):
        read([b"ab", None])


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress)]
)
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_encoded_bodies_are_decompressed(coding, pack, size):
    packed = pack(b"x" * size)
    assert read([packed[:5], packed[5:]], {"content-encoding": coding}) == b"x" * size


def test_members_of_gzip_are_put_together():
    assert decompress(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", LIMITS) == b"abcd"


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bombs_stop_early(coding, pack):
    bomb = pack(b"\0" * 50_000_000)
    with pytest.raises(TooLargeError, match="more than 1000000 bytes when decompressed"):
        decompress(bomb, coding, Limits(body_bytes=1_000_000))
    assert len(decompress(pack(b"\0" * 1_000_000), coding, Limits(body_bytes=1_000_000))) == 1_000_000


@pytest.mark.parametrize(
    ("data", "coding", "match"),
    [
        (gzip.compress(b"abc", mtime=0)[:-1], "gzip", "truncated"),
        (b"plain", "gzip", "is no gzip data"),
        (gzip.compress(b"abc", mtime=0) + b"rest", "gzip", "is no gzip data"),
        (zlib.compress(b"abc") + b"rest", "deflate", "bytes after the end"),
        (gzip.compress(b"abc", mtime=0), "deflate", "is no deflate data"),
    ],
)
def test_damaged_data_are_refused(data, coding, match):
    with pytest.raises(BadRequestError, match=match):
        decompress(data, coding, LIMITS)


def test_an_unknown_encoding_is_refused_before_reading():
    with pytest.raises(UnknownEncodingError, match="the encoding 'br', expected gzip, deflate or none"):
        read([b"never read"], {"content-encoding": "br"})


def test_decompressed_bytes_count_as_well():
    with pytest.raises(BusyError):
        read([gzip.compress(b"a" * 900)], {"content-encoding": "gzip"}, budget=Budget(800))
