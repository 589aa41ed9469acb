"""Clients of two real servers behind the load balancer notice neither a crash nor a restart."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import Restorer
from tests.patience import PATIENCE, wait_until
from tests.serving.deploy.balancer import Balancer, ask, balanced, find_haproxy
from tests.serving.network import find_ports
from tests.serving.process import make_command

THREADS = 4
SIZES = ((1, 1), (61, 45), (160, 200))
"""The last one is six times as large as the buffers that HAProxy has unless told otherwise."""


class Replica:
    """A server on ports that stay the same when it is started again."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        """Choose ports."""
        self._bundle, self._log = bundle, (folder / f"replica-{id(self)}.log").open("w")
        self._ports = find_ports(2)
        self.http, self.grpc = (f"127.0.0.1:{port}" for port in self._ports)

    def start(self) -> None:
        """Start it; it is not yet ready."""
        ports = ("--port", self._ports[0], "--grpc-port", self._ports[1])
        command = make_command(f"rain={self._bundle}", "--threads", 1, "--grace", 1.5, *ports)
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def drain(self) -> int:
        """End it as a service manager does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def count(self) -> int:
        """Requests that it has answered since its start, those over gRPC included."""
        _, text = ask(self.http, "GET", "/v2/models/rain/stats")
        return int(json.loads(text)["model_stats"][0]["inference_stats"]["success"]["count"])

    def close(self) -> None:
        self.kill()
        self._log.close()


@pytest.fixture
def replicas(tiny_bundle, tmp_path) -> Iterator[list[Replica]]:
    find_haproxy()
    made = [Replica(tiny_bundle, tmp_path) for _ in range(2)]
    for one in made:
        one.start()
    try:
        yield made
    finally:
        for one in made:
            one.close()


@pytest.fixture(scope="module")
def cases(tiny_bundle) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures [1, 3, H, W] with what a restorer makes of them here."""
    random = np.random.default_rng(2)
    pictures = [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in SIZES]
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        return [(to_tensor(one), to_tensor(restorer(one).image)) for one in pictures]


def to_tensor(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])


Infer = Callable[[np.ndarray], np.ndarray]
Connect = Callable[[Balancer], contextlib.AbstractContextManager[Infer]]


@contextlib.contextmanager
def over_http(balancer: Balancer) -> Iterator[Infer]:
    """Yield a client that keeps its connection."""
    from tritonclient.http import InferenceServerClient, InferInput

    connection = http.client.HTTPConnection(balancer.http, timeout=PATIENCE)

    def infer(picture: np.ndarray) -> np.ndarray:
        given = InferInput("image", list(picture.shape), "UINT8")
        given.set_data_from_numpy(picture)
        body, size = InferenceServerClient.generate_request_body([given])
        connection.request("POST", "/v2/models/rain/infer", body, {"Inference-Header-Content-Length": str(size)})
        response = connection.getresponse()
        content, end = response.read(), response.headers.get("Inference-Header-Content-Length")
        assert response.status == 200, content
        result = InferenceServerClient.parse_response_body(content, header_length=None if end is None else int(end))
        return result.as_numpy("restored")

    with contextlib.closing(connection):
        yield infer


@contextlib.contextmanager
def over_grpc(balancer: Balancer) -> Iterator[Infer]:
    """Yield a client of one channel."""
    from tritonclient.grpc import InferenceServerClient, InferInput

    client = InferenceServerClient(balancer.grpc, channel_args=[("grpc.use_local_subchannel_pool", 1)])

    def infer(picture: np.ndarray) -> np.ndarray:
        given = InferInput("image", list(picture.shape), "UINT8")
        given.set_data_from_numpy(picture)
        return client.infer("rain", [given]).as_numpy("restored")

    with contextlib.closing(client):
        yield infer


class Load:
    """Threads that send pictures all the time and compare the answers."""

    def __init__(self, balancer: Balancer, cases: list, connect: Connect) -> None:
        """Start the threads."""
        self._balancer, self._cases, self._connect = balancer, cases, connect
        self._end = threading.Event()
        self.right, self.errors = 0, []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def pass_requests(self, count: int) -> None:
        """Wait until so many more were answered."""
        goal = self.right + count
        wait_until(lambda: self.right >= goal or bool(self.errors), f"{count} more answers")

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _send(self, first: int) -> None:
        with self._connect(self._balancer) as infer:
            for number in itertools.count(first):
                if self._end.is_set():
                    return
                picture, expected = self._cases[number % len(self._cases)]
                try:
                    np.testing.assert_array_equal(infer(picture), expected)
                except Exception as error:
                    self.errors.append(repr(error))
                    return
                with self._lock:
                    self.right += 1


@pytest.mark.skipif("SPAIR_REPLICAS" not in os.environ, reason="slow: make replicas runs it, which sets SPAIR_REPLICAS")
@pytest.mark.parametrize("connect", [over_http, over_grpc])
def test_no_client_sees_that_a_replica_is_killed_or_restarted(replicas, cases, tmp_path, connect):
    backend = "http_replicas" if connect is over_http else "grpc_replicas"
    addresses = [one.http for one in replicas], [one.grpc for one in replicas]
    with balanced(tmp_path, *addresses) as balancer:

        def wait_for(name: str) -> None:
            wait_until(lambda: balancer.is_up(backend, name), f"{name} is up")

        for one in replicas:
            wait_until(lambda one=one: is_ready(one.http), "the server is ready")
        for name in ("first", "second"):
            wait_for(name)
        load = Load(balancer, cases, connect)
        try:
            load.pass_requests(24)
            replicas[0].kill()
            load.pass_requests(24)
            replicas[0].start()
            wait_for("first")
            load.pass_requests(24)
            assert replicas[0].count() > 0, "the one that came back works again"
            assert replicas[1].drain() == 0
            load.pass_requests(24)
            replicas[1].start()
            wait_for("second")
            load.pass_requests(24)
            assert replicas[1].count() > 0
        finally:
            load.stop()
    assert load.errors == []
    assert load.right >= 120


def is_ready(address: str) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(address, "GET", "/v2/health/ready")[0] == 200
    return False
