"""Mutated requests: the server answers each in words or closes, holds nothing, and goes on answering rightly.

The default run is short; `make fuzz` sets $SPAIR_FUZZ to ten thousand requests.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
import random
import re
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from spair.runtime import Picture, Restorer, write_image
from tests.patience import PATIENCE, wait_until
from tests.serving.fuzz.mutations import HTTP2_PREFACE, MUTATIONS, Good, Wire, make_encoded, make_pixels
from tests.serving.fuzz.wire import Answer, exchange
from tests.serving.process import ServeProcess, served

pytestmark = pytest.mark.early

COUNT = int(os.environ.get("SPAIR_FUZZ", "100"))
CLIENTS = 6
STATUSES = {200, 400, 404, 405, 408, 411, 413, 414, 415, 417, 426, 431, 501, 503, 504, 505}
"""Answers that a mutated request may get; 500 is none of them."""
LEAK_BYTES = 200 * 1024**2
"""Growth of all processes that is taken for warming up: buffers of two threads for pictures of the limit's size."""


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (2, 3, 21, 34), np.uint8)


@pytest.fixture(scope="module")
def requests(image, tiny_bundle, tmp_path_factory) -> list[Good]:
    file = tmp_path_factory.mktemp("picture") / "picture.png"
    write_image(file, Picture(np.ascontiguousarray(image[0].transpose(1, 2, 0))))
    name = tiny_bundle.name.removesuffix(".spair")
    return [make_pixels(name, image), make_encoded(f"{name}_bytes", file.read_bytes())]


@pytest.fixture(scope="module")
def server(tiny_bundle) -> Iterator[ServeProcess]:
    with served(tiny_bundle, "--max-pixels", "1000000", "--threads", "1") as running:
        yield running


@pytest.fixture(scope="module")
def expected(image, tiny_bundle) -> bytes:
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        results = [restorer(np.ascontiguousarray(one.transpose(1, 2, 0))) for one in image]
    return b"".join(result.image.transpose(2, 0, 1).tobytes() for result in results)


def send_all(address: str, wires: list[Wire]) -> list[Answer | None]:
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda wire: exchange(address, wire), wires))


def require_right(server: ServeProcess, good: Good, expected: bytes) -> None:
    answer = exchange(server.http, good.wire())
    assert answer is not None
    assert answer.status == 200, answer.body
    length = int(answer.headers["inference-header-content-length"])
    assert answer.body[length : length + len(expected)] == expected


def wait_until_quiet(server: ServeProcess, descriptors: int) -> int:
    """Connections that were left open end within the server's own limits."""
    until = time.monotonic() + PATIENCE
    while (now := server.count_descriptors()) > descriptors and time.monotonic() < until:
        time.sleep(0.2)
    return now


def judge(answer: Answer | None, wire: Wire) -> str | None:
    """Say what is wrong with an answer to a mutated request."""
    if answer is None:
        return None
    if answer.status not in STATUSES:
        return f"status {answer.status}: {answer.body[:300]!r}"
    if b"Traceback" in answer.body or b'File "' in answer.body:
        return f"a traceback: {answer.body[:300]!r}"
    if (
        wire.path.endswith("/infer")
        and answer.status == 400
        and wire.raw is None
        and answer.headers.get("x-request-id")
    ):
        words = answer.sentence
        if not words or "\n" in words or len(words) > 1000:
            return f"no sentence: {answer.body[:300]!r}"
    return None


def test_mutated_requests_are_refused_in_words_and_leave_nothing_behind(server, requests, expected):
    chance = random.Random(19)
    require_right(server, requests[0], expected)
    send_all(server.http, [MUTATIONS[n % len(MUTATIONS)](requests[n % 2], random.Random(n)) for n in range(40)])
    wait_until(lambda: server.count_connections() == 0, "the server closed what clients had left")
    descriptors = server.count_descriptors()  # what it keeps open anyway
    memory, processes = server.measure_memory(), server.list_processes()
    statuses: collections.Counter[object] = collections.Counter()
    for first in range(0, COUNT, 200):
        drawn = [
            (chance.choice(MUTATIONS), random.Random(chance.randrange(2**63))) for _ in range(min(200, COUNT - first))
        ]
        wires = [mutate(chance.choice(requests), own) for mutate, own in drawn]
        answers = send_all(server.http, wires)
        problems = [
            (first + number, drawn[number][0].__name__, problem)
            for number, (answer, wire) in enumerate(zip(answers, wires, strict=True))
            if (problem := judge(answer, wire))
        ]
        assert problems == []
        statuses.update(None if answer is None else answer.status for answer in answers)
        require_right(server, requests[0], expected)
    assert statuses[200] > COUNT // 50, statuses  # some mutations are harmless, and are answered
    assert statuses[400] > COUNT // 10, statuses
    assert server.process.poll() is None
    assert server.list_processes() == processes, "a worker was restarted"
    assert wait_until_quiet(server, descriptors) <= descriptors
    assert server.measure_memory() - memory < LEAK_BYTES
    assert not [line for line in server.lines if "Traceback" in line]


def mutate_message(message: bytes, chance: random.Random) -> bytes:
    """Change, cut or lengthen an encoded message."""
    data = bytearray(message)
    for _ in range(chance.randrange(0, 12)):
        data[chance.randrange(min(len(data), 300))] = chance.randrange(256)
    if chance.random() < 0.3:
        del data[chance.randrange(len(data)) :]
    if chance.random() < 0.2:
        data += chance.randbytes(chance.randrange(1, 200))
    return bytes(data)


def test_mutated_messages_are_refused_in_words(server, requests, image, expected):
    grpc = pytest.importorskip("grpc", reason="gRPC comes with the extra serve: pip install 'spair-rt[serve]'")
    from tritonclient.grpc import service_pb2

    request = service_pb2.ModelInferRequest(model_name=requests[0].model, id="x")
    entry = request.inputs.add(name="image", datatype="UINT8")
    entry.shape.extend(image.shape)
    request.raw_input_contents.append(image.tobytes())
    chance = random.Random(23)
    names = ("ModelInfer", "ModelInfer", "ModelInfer", "ModelMetadata", "ModelStatistics", "Absent", "ModelConfig")
    codes: collections.Counter[str] = collections.Counter()
    allowed = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
    with grpc.insecure_channel(server.grpc) as channel:

        def call(number: int) -> tuple[str, str]:
            own = random.Random(number)
            method = channel.unary_unary(f"/inference.GRPCInferenceService/{own.choice(names)}")
            try:
                method(mutate_message(request.SerializeToString(), own), timeout=PATIENCE)
            except grpc.RpcError as error:
                return error.code().name, error.details() or ""
            return "OK", ""

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            for code, words in pool.map(call, [chance.randrange(2**63) for _ in range(max(COUNT // 4, 100))]):
                codes[code] += 1
                assert code in allowed, words
                assert "Traceback" not in words
                # grpc itself says INTERNAL for bytes that are no message; ours would be "internal error"
                assert not re.search(r"internal error", words), words
        answer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(
            request.SerializeToString(), timeout=PATIENCE
        )
    assert expected in answer
    assert codes["INVALID_ARGUMENT"] + codes["INTERNAL"] > sum(codes.values()) // 10, codes
    assert not [line for line in server.lines if "Traceback" in line]


def test_garbage_on_the_grpc_port_disturbs_nobody(server, requests, expected):
    chance = random.Random(29)
    host, _, port = server.grpc.rpartition(":")
    for number in range(max(COUNT // 20, 30)):
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            start = HTTP2_PREFACE if number % 2 else b""
            connection.sendall(start + chance.randbytes(chance.randrange(1, 3000)))
    require_right(server, requests[0], expected)
    grpc = pytest.importorskip("grpc", reason="gRPC comes with the extra serve: pip install 'spair-rt[serve]'")
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    with grpc.insecure_channel(server.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=PATIENCE).ready


def test_slow_writers_hold_up_nobody(server, requests, expected):
    host, _, port = server.http.rpartition(":")
    wire = requests[0].wire().encode()
    slow = [socket.create_connection((host, int(port)), timeout=PATIENCE) for _ in range(50)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(wire[: 10 + 7 * number])
        require_right(server, requests[0], expected)
    finally:
        for connection in slow:
            connection.close()


def test_the_fuzzer_sees_a_server_that_breaks():
    broken = Answer(500, {}, b"Internal Server Error")
    told = Answer(400, {"x-request-id": "1"}, b'{"error": "Traceback (most recent call last)"}')
    silent = Answer(400, {"x-request-id": "1"}, b"{}")
    wire = Wire("/v2/models/rain/infer", (), b"")
    assert [bool(judge(answer, wire)) for answer in (broken, told, silent, None)] == [True, True, True, False]
