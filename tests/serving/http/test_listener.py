"""A listener answers what has come before it ends, and speaks to unmodified clients."""

import asyncio
import errno
import os
import threading

import numpy as np
import pytest

from spair.serving.access_log import AccessLog
from spair.serving.http.connection import Guard
from spair.serving.http.listener import LoopErrors, count_connections
from tests.patience import PATIENCE, wait_until
from tests.serving.http.test_connection import LIVE, is_ended, post, read_answer


def wait_until_refused(door):
    """Wait until the door takes no more connections."""

    def is_refused():
        try:
            door.connect().close()
        except ConnectionError:  # of any kind: the last one may have been taken by the system, and by nobody else
            return True
        return False

    wait_until(is_refused, "the door takes no more connections")


def test_a_request_at_work_is_answered_before_the_end(listen, plane):
    plane.gate = threading.Event()
    door = listen()
    with door.connect() as connection:
        connection.sendall(post())
        assert plane.waiting.wait(PATIENCE)
        ended = []
        thread = threading.Thread(target=lambda: ended.append(door.end()))
        thread.start()
        wait_until_refused(door)
        plane.gate.set()
        assert read_answer(connection)[0] == 200 and is_ended(connection)
        thread.join(PATIENCE)
    assert ended == [True]


def test_a_request_that_outlasts_the_end_is_cut_off(listen, plane):
    plane.gate = threading.Event()
    door = listen()
    with door.connect() as connection:
        connection.sendall(post())
        assert plane.waiting.wait(PATIENCE)
        assert door.end(1) is False
        assert read_answer(connection)[0] in (0, 500) and plane.cancelled.wait(PATIENCE)


def test_a_request_on_an_idle_connection_is_answered_during_the_end(listen, plane):
    plane.gate = threading.Event()
    door = listen(guard=Guard(linger_seconds=PATIENCE))
    with door.connect() as busy, door.connect() as idle:
        idle.sendall(LIVE)
        assert read_answer(idle)[1].get("connection") is None
        busy.sendall(post())
        assert plane.waiting.wait(PATIENCE)
        thread = threading.Thread(target=door.end)
        thread.start()
        wait_until_refused(door)
        idle.sendall(LIVE)
        assert read_answer(idle)[0] == 200
        plane.gate.set()
        assert read_answer(busy)[0] == 200
        thread.join(PATIENCE)
        assert is_ended(idle)


def test_the_header_of_the_server_is_not_there(listen):
    with listen().connect() as connection:
        connection.sendall(LIVE)
        headers = read_answer(connection)[1]
        assert "server" not in headers and "date" in headers


def test_addresses_that_clients_claim_are_not_believed(listen, log):
    door = listen()
    with door.connect() as connection:
        connection.sendall(LIVE[:-2] + b"X-Forwarded-For: 6.6.6.6\r\n\r\n")
        assert read_answer(connection)[0] == 200
    door.end()  # lines are written after the answers
    assert log.read()[0]["client"] == "127.0.0.1"


@pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("answer_coding", [None, "gzip", "deflate"])
def test_the_client_of_triton_works_unmodified(listen, image, request_coding, answer_coding):
    http = pytest.importorskip("tritonclient.http", reason="pip install 'tritonclient[http]'")
    codings = {"request_compression_algorithm": request_coding, "response_compression_algorithm": answer_coding}
    with http.InferenceServerClient(listen().address) as client:
        asked = http.InferInput("image", list(image.shape), "UINT8")
        asked.set_data_from_numpy(image)
        result = client.infer("rain", [asked], request_id="q", **codings)
        assert np.array_equal(result.as_numpy("restored"), 255 - image)
        assert result.get_response()["id"] == "q"
        outputs = [http.InferRequestedOutput("density", binary_data=False), http.InferRequestedOutput("mask")]
        result = client.infer("rain", [asked], outputs=outputs, **codings)
        assert result.as_numpy("density").tolist() == [0.5, 0.5] and result.as_numpy("mask").all()
        assert result.as_numpy("restored") is None


def test_the_asynchronous_client_of_triton_works_unmodified(listen, image):
    aio = pytest.importorskip("tritonclient.http.aio", reason="pip install 'tritonclient[http]'")
    address = listen().address

    async def ask(**codings):
        async with aio.InferenceServerClient(address) as client:
            asked = aio.InferInput("image", list(image.shape), "UINT8")
            asked.set_data_from_numpy(image)
            return (await client.infer("rain", [asked], **codings)).as_numpy("restored")

    for codings in ({}, {"request_compression_algorithm": "gzip", "response_compression_algorithm": "deflate"}):
        assert np.array_equal(asyncio.run(ask(**codings)), 255 - image)


def test_a_lack_of_descriptors_is_told_once_and_other_errors_each_time(log):
    handle, loop = LoopErrors(AccessLog(log.stream)), asyncio.new_event_loop()
    try:
        loop.set_exception_handler(handle)
        for _ in range(2048):
            lack = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": lack})
        for _ in range(2):
            loop.call_exception_handler({"message": "a bug", "exception": ZeroDivisionError("zero")})
        loop.call_exception_handler({"message": "words alone"})
    finally:
        loop.close()
    (line,) = log.read("warning")
    assert "raise ulimit -n" in line["text"]
    *bugs, words = log.read("error")
    assert len(bugs) == 2 and all("ZeroDivisionError: zero" in bug["traceback"] for bug in bugs)
    assert words["text"] == "words alone" and "traceback" not in words


@pytest.mark.parametrize(("most", "expected"), [(64, 32), (1024, 512), (10**6, 512), (-1, 512), (1, 1)])
def test_connections_leave_descriptors_for_the_rest(monkeypatch, most, expected):
    resource = pytest.importorskip("resource", reason="Windows has no limits of open files")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (most, most))
    assert count_connections() == expected <= Guard().connections
