"""Server of the Open Inference Protocol over gRPC."""

from __future__ import annotations

import functools

import grpc

from ..access_log import AccessLog
from ..options import Limits
from ..plane.plane import DataPlane
from ..tokens import Tokens
from .door import CallHandler
from .revival import GrpcServer

STREAMS = 128
"""Number of calls at once on one connection; a client holds further ones back itself."""
LARGEST_MESSAGE = 2**31 - 1
"""Bytes of the largest message that gRPC can be told to take."""


def make_grpc_server(plane: DataPlane, *, tokens: Tokens, limits: Limits, log: AccessLog) -> GrpcServer:
    """Make the server, without ports and not started.

    It is called on the event loop that the plane runs on. Messages may be compressed with gzip or deflate.

    Args:
        plane: models, which the caller starts and closes.
        tokens: check of the metadata `authorization`; health calls need none.
        limits: bounds on requests; a larger message ends with RESOURCE_EXHAUSTED.
        log: log, which gets a line for each call and each message of a stream.
    """
    door = CallHandler(plane, tokens, limits, log)
    make = functools.partial(grpc.aio.server, handlers=[door], options=_list_options(limits))
    return GrpcServer(make, door.leave, log)


def _list_options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", min(limits.body_bytes, LARGEST_MESSAGE)),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", STREAMS),
        # Two servers must not share a port unknowingly.
        ("grpc.so_reuseport", 0),
        # Connections whose client is gone without a word are found and closed after these milliseconds.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        # A connection that does not speak HTTP/2 is closed after these milliseconds.
        ("grpc.server_handshake_timeout_ms", 20_000),
    ]
