"""Bodies of requests, read within bounds."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping

from starlette.types import Receive

from ..budget import Take
from ..errors import BadRequestError, TooLargeError
from ..options import Limits
from .errors import ClientGoneError, SlowBodyError, UnknownEncodingError

_SLICE = 64 * 1024
"""Number of compressed bytes that are decompressed at a time; they give at most about a thousand times as many."""
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Encoding -> zlib's number of window bits, which also names the container."""


async def read_body(
    headers: Mapping[str, str], receive: Receive, limits: Limits, arrived: float, take: Take
) -> bytearray | bytes:
    """Read the whole body of a request, decompressed.

    Nothing is read of a body whose announced length is over the limit.

    Args:
        headers: headers by lower-case name.
        receive: function of ASGI that gives the next part.
        limits: bounds; `seconds` counts from `arrived` to the last byte.
        arrived: time of `time.monotonic` at which the request came.
        take: see `Budget.hold`.

    Raises:
        TooLargeError: the body is over the limit, as it is or decompressed.
        SlowBodyError: it was not there in time.
        UnknownEncodingError: its Content-Encoding is neither gzip nor deflate.
        BadRequestError: it cannot be decompressed.
        BusyError: other requests hold too many bytes.
        ClientGoneError: the connection ended.
    """
    coding = headers.get("content-encoding", "identity").strip().lower() or "identity"
    if coding != "identity" and coding not in _WINDOWS:
        raise UnknownEncodingError(f"the body has the encoding {coding!r}, expected gzip, deflate or none")
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.body_bytes:
        raise _too_large(f"{int(announced)} bytes", limits)
    body = await _read_parts(receive, limits, arrived + limits.seconds, take)
    if coding == "identity" or not body:
        return body
    plain = await asyncio.to_thread(decompress, body, coding, limits)
    take(len(plain))
    return plain


async def _read_parts(receive: Receive, limits: Limits, end: float, take: Take) -> bytearray:
    body = bytearray()
    while True:
        try:
            message = await asyncio.wait_for(receive(), max(end - time.monotonic(), 0))
        except asyncio.TimeoutError as error:  # another class than TimeoutError before Python 3.11
            raise SlowBodyError(
                f"{len(body)} bytes of the body came in {limits.seconds:g} seconds and more "
                "were to come; send it faster"
            ) from error
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the client ended the connection within the body")
        part = message.get("body", b"")
        if len(body) + len(part) > limits.body_bytes:
            raise _too_large(f"more than {limits.body_bytes} bytes", limits)
        take(len(part))
        body += part
        if not message.get("more_body", False):
            return body


def decompress(body: bytes | bytearray, coding: str, limits: Limits) -> bytearray:
    """Decompress a body, as long as it stays small enough.

    Args:
        body: compressed bytes.
        coding: "gzip" or "deflate", the latter in zlib's container as HTTP has it.
        limits: bounds.

    Raises:
        TooLargeError: it is over the limit.
        BadRequestError: it is damaged or truncated.
    """
    plain, view = bytearray(), memoryview(body)
    stream = zlib.decompressobj(_WINDOWS[coding])
    for start in range(0, len(view), _SLICE):
        rest: bytes | memoryview = view[start : start + _SLICE]
        while len(rest):
            if stream.eof:  # gzip allows several members, one after another
                if coding == "deflate":
                    raise BadRequestError("the body has bytes after the end of its deflate data")
                stream = zlib.decompressobj(_WINDOWS[coding])
            try:
                plain += stream.decompress(rest, limits.body_bytes + 1 - len(plain))
            except zlib.error as error:
                raise BadRequestError(f"the body is no {coding} data: {error}") from error
            if len(plain) > limits.body_bytes:
                raise _too_large(f"more than {limits.body_bytes} bytes when decompressed", limits)
            rest = stream.unused_data
    if not stream.eof:
        raise BadRequestError(f"the {coding} data of the body are truncated")
    return plain


def _too_large(found: str, limits: Limits) -> TooLargeError:
    return TooLargeError(f"the body has {found}, and this server takes at most {limits.body_bytes}")
