"""Clients that are slow, greedy or broken lose their own connection and hold up nobody else's."""

import contextlib
import json
import select
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from spair.serving.http import body as body_module
from spair.serving.http.connection import Guard
from spair.serving.options import Limits
from tests.patience import PATIENCE, wait_until

BODY = json.dumps(
    {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 3, 1, 1], "data": [1, 2, 3]}]}
).encode()
INFER = b"POST /v2/models/rain/infer HTTP/1.1\r\nHost: localhost\r\n"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
BRIEF = Guard(head_seconds=0.2)


def post(body=BODY, extra=b""):
    return INFER + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


def read_answer(connection):
    """Return (status, headers, body) of the next answer; status 0 where the connection ended without one."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                break
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    if not head:
        return 0, {}, b""
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return int(first.split()[1]), headers, body


def is_ended(connection):
    """Wait until the server has closed a connection."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def require_alive(door):
    with door.connect() as connection:
        connection.sendall(LIVE)
        assert read_answer(connection)[0] == 200


@pytest.mark.parametrize("start", [b"", b"\r\n", b"POST /v2", INFER, INFER + b"X-Slow: "])
def test_heads_that_do_not_come_to_an_end_are_cut_off(listen, start):
    door = listen(guard=BRIEF)
    with contextlib.ExitStack() as stack:
        with door.paused():  # the brief time of the head begins when the start of it is there
            connection = stack.enter_context(door.connect())
            connection.sendall(start)
        status, headers, _ = read_answer(connection)
        assert status == (408 if start.strip() else 0), "before a request there is nothing to answer"
        assert not status or headers["connection"] == "close"
        assert is_ended(connection)
    require_alive(door)


def test_a_head_is_cut_off_though_bytes_come_all_the_time(listen):
    door = listen(guard=BRIEF)
    with door.connect() as connection:
        connection.sendall(INFER)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            until = time.monotonic() + PATIENCE
            while not select.select([connection], [], [], 0.01)[0] and time.monotonic() < until:
                connection.sendall(b"a: b\r\n")
        assert read_answer(connection)[0] in (0, 408)
    require_alive(door)


def test_a_body_that_comes_too_slowly_is_answered_408(listen, log, monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(body_module, "time", SimpleNamespace(monotonic=lambda: now))  # the wait alone takes time
    door = listen(limits=Limits(seconds=0.2))
    with door.connect() as connection:
        connection.sendall(INFER + b"Content-Length: 100\r\n\r\nhalf")
        status, headers, body = read_answer(connection)
        assert (status, headers["connection"]) == (408, "close") and b"4 bytes of the body came" in body
        assert is_ended(connection)
    door.end()
    assert [line["status"] for line in log.read()] == [408]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2 HTTP/1.1\r\nX: " + b"a" * 200_000,
        b"GET /" + b"a" * 200_000,
        b"GET /v2 HTTP/1.1\r\n" + b"a: b\r\n" * 30_000,
    ],
    ids=["value", "path", "many"],
)
@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["open", "ended"])
def test_heads_beyond_their_limit_are_refused(listen, head, end):
    door = listen()
    with door.connect() as connection:
        connection.sendall(head + end)
        status, _, body = read_answer(connection)
        assert status == 431 and b"more than 65536 bytes" in body
        assert is_ended(connection)
    require_alive(door)


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_what_is_no_http_is_refused_in_json(listen, log, rubbish):
    with listen().connect() as connection:
        connection.sendall(rubbish)
        status, headers, body = read_answer(connection)
        assert status == 400 and json.loads(body) == {"error": "this is no HTTP request"}
        assert headers["x-request-id"] == log.read()[0]["id"] and is_ended(connection)


@pytest.mark.parametrize(
    "extra",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Content-Length: -5\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_lengths_that_contradict_are_refused(listen, extra):
    with listen().connect() as connection:
        connection.sendall(INFER + extra)
        assert read_answer(connection)[0] == 400 and is_ended(connection)


def chunk(body, size):
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_chunked_bodies_of_any_cut_are_the_same_request(listen, plane, size):
    with listen().connect() as connection:
        connection.sendall(INFER + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(BODY, size))
        assert read_answer(connection)[0] == 200
    assert plane.asked[0].inputs[0].values.ravel().tolist() == [1, 2, 3]


def test_chunked_bodies_are_counted(listen):
    door = listen(limits=Limits(body_bytes=1000))
    with door.connect() as connection:
        connection.sendall(INFER + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 3000, 100))
        assert read_answer(connection)[0] == 413


def test_extensions_of_chunks_do_not_grow_without_end(listen):
    door = listen()
    with door.connect() as connection:
        connection.sendall(INFER + b"Transfer-Encoding: chunked\r\n\r\n1;")
        for _ in range(64):
            connection.sendall(b"a" * 65536)
        assert read_answer(connection)[0] == 431 and is_ended(connection)
    require_alive(door)


def test_an_announced_body_over_the_limit_is_refused_at_once_and_the_connection_goes_on(listen):
    door = listen(limits=Limits(body_bytes=1000))
    with door.connect() as connection:
        connection.sendall(INFER + b"Content-Length: 300000\r\n\r\n")
        assert read_answer(connection)[0] == 413, "before a byte of it was sent"
        connection.sendall(b"x" * 300_000 + LIVE)
        assert read_answer(connection)[0] == 200, "what was refused is read and dropped"


def test_the_rest_of_a_refused_body_must_come_in_time(listen):
    door = listen(guard=Guard(rest_seconds=0.2), limits=Limits(body_bytes=1000))
    with door.connect() as connection:
        connection.sendall(INFER + b"Content-Length: 300000\r\n\r\n")
        assert read_answer(connection)[0] == 413
        assert is_ended(connection)


def test_the_rest_of_a_refused_body_must_not_be_endless(listen):
    door = listen(guard=Guard(rest_bytes=100_000), limits=Limits(body_bytes=1000))
    with door.connect() as connection:
        connection.sendall(INFER + b"Content-Length: 9000000\r\n\r\n")
        assert read_answer(connection)[0] == 413
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b"x" * 8_000_000)
        assert is_ended(connection)


def send_whole(connection, head, size):
    """Send a body as a client does that reads nothing before it has sent everything."""
    connection.sendall(head + b"Content-Length: %d\r\n\r\n" % size)
    for _ in range(size // 100_000):
        connection.sendall(bytes(100_000))


@pytest.mark.parametrize("extra", [b"Connection: close\r\n", b""], ids=["close", "keep"])
@pytest.mark.parametrize("start", [INFER, INFER.replace(b"infer", b"none")], ids=["413", "404"])
def test_a_refusal_is_read_by_a_client_that_sends_its_whole_body_first(listen, start, extra):
    door = listen(limits=Limits(body_bytes=1000))
    with door.connect() as connection:
        send_whole(connection, start + extra, 30_000_000)
        assert read_answer(connection)[0] in (404, 413)
        connection.sendall(LIVE)
        assert read_answer(connection)[0] == (0 if extra else 200)
    door.end()


@pytest.mark.parametrize("start", [b"\x16\x03\x01\x02\x00", INFER + b"X: " + b"a" * 70_000], ids=["400", "431"])
def test_what_is_no_request_may_be_long_and_is_answered(listen, start):
    with listen().connect() as connection:
        for part in [start, *[bytes(100_000)] * 100]:
            connection.sendall(part)
        assert read_answer(connection)[0] in (400, 431) and is_ended(connection)


@pytest.mark.parametrize(
    "guard", [Guard(quiet_seconds=0.1), Guard(rest_seconds=0.1), Guard(rest_bytes=1_000_000)], ids=str
)
def test_a_connection_that_ends_after_a_refusal_is_held_within_bounds(listen, log, guard):
    door = listen(guard=guard, limits=Limits(body_bytes=1000))
    with door.connect() as connection:
        connection.sendall(INFER + b"Connection: close\r\nContent-Length: 900000000\r\n\r\n")
        assert read_answer(connection)[0] == 413
        if guard.quiet_seconds < 1:  # an open connection is closed by the server alone
            assert is_ended(connection)
            door.wait_until_left()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(9000):
                connection.sendall(bytes(100_000))
    require_alive(door)


def test_the_end_does_not_wait_for_the_rest_of_a_refused_body(listen):
    door = listen(guard=Guard(quiet_seconds=1000, rest_seconds=1000), limits=Limits(body_bytes=1000))
    with door.connect() as connection:
        connection.sendall(INFER + b"Connection: close\r\nContent-Length: 300000\r\n\r\n")
        assert read_answer(connection)[0] == 413
        assert door.end()


def test_a_client_that_waits_for_100_continue_is_told_to_send_or_not_to(listen):
    door = listen(limits=Limits(body_bytes=1000))
    with door.connect() as connection:
        connection.sendall(INFER + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert read_answer(connection)[0] == 200
        connection.sendall(INFER + b"Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
        assert read_answer(connection)[0] == 413


@pytest.mark.parametrize("how", ["closed", "half-closed"])
def test_a_client_that_goes_while_it_waits_gives_its_request_up(listen, plane, log, how):
    plane.gate = threading.Event()
    door = listen()
    with door.connect() as connection:
        connection.sendall(post())
        assert plane.waiting.wait(PATIENCE)
        connection.shutdown(socket.SHUT_RDWR if how == "closed" else socket.SHUT_WR)
        assert plane.cancelled.wait(PATIENCE)
    door.end()
    assert [line["status"] for line in log.read()] == [499]


def test_requests_one_behind_the_other_are_answered_in_order(listen):
    with listen().connect() as connection:
        connection.sendall(post() + LIVE + post(b"{}"))
        assert [read_one(connection) for _ in range(3)] == [200, 200, 400]


def read_one(connection):
    """Read one answer byte by byte, so that nothing of the next is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    for line in head.decode().lower().split("\r\n"):
        if line.startswith("content-length: "):
            left = int(line.split(": ")[1])
            while left:
                left -= len(connection.recv(left))
    return int(head.split()[1])


def test_the_connection_that_waited_longest_makes_room(listen):
    door = listen(guard=Guard(connections=2))
    with door.connect() as oldest, door.connect() as older:
        for connection in (oldest, older):
            connection.sendall(LIVE)
            assert read_answer(connection)[0] == 200
        require_alive(door)
        assert is_ended(oldest)
        older.sendall(LIVE)
        assert read_answer(older)[0] == 200


def test_connections_at_work_are_not_given_up_for_new_ones(listen, plane):
    plane.gate = threading.Event()
    door = listen(guard=Guard(connections=1))
    with door.connect() as busy:
        busy.sendall(post())
        assert plane.waiting.wait(PATIENCE)  # before another connects, for which it would be given up as idle
        with door.connect() as late, door.connect() as last:
            refused = select.select([late, last], [], [], PATIENCE)[0]  # the other one may have got a place
            status, headers, body = read_answer(refused[0])
            assert status in (0, 503)
            assert not status or (headers["retry-after"] == "1" and b"are at work" in body)
        plane.gate.set()
        assert read_answer(busy)[0] == 200


def test_a_client_that_does_not_read_its_answer_is_cut_off(listen, plane):
    door = listen(guard=Guard(stall_seconds=0.1))
    image = [0] * (3 * 1500 * 1500)
    entry = {"name": "image", "datatype": "UINT8", "shape": [1, 3, 1500, 1500]}
    head = json.dumps(
        {
            "inputs": [{**entry, "parameters": {"binary_data_size": len(image)}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, _, port = door.address.rpartition(":")
        connection.settimeout(PATIENCE)
        connection.connect((host, int(port)))
        extra = b"Inference-Header-Content-Length: %d\r\n" % len(head)
        connection.sendall(post(head + bytes(image), extra))
        wait_until(lambda: plane.asked, "the request has come")
        door.wait_until_left()
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received += len(part)
        assert received < len(image)
    require_alive(door)
