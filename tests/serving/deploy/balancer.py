"""HAProxy with the file of the package, before stand-ins or real servers."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spair.serving.deploy import FOLDER
from tests.patience import PATIENCE, wait_until
from tests.serving.network import find_ports

CONFIGURATION = FOLDER / "haproxy.cfg"
PLACES = ("FIRST", "SECOND")


def find_haproxy() -> str:
    """Return the program, or skip the test."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    return found


@dataclass(frozen=True)
class Balancer:
    """Addresses of a running HAProxy."""

    http: str
    grpc: str
    state: str

    def is_up(self, backend: str, server: str) -> bool:
        """Whether a replica gets requests."""
        status, text = ask(self.state, "GET", "/metrics")
        line = f'haproxy_server_status{{proxy="{backend}",server="{server}",state="UP"}} 1'
        return status == 200 and line in text.decode().splitlines()


@contextlib.contextmanager
def balanced(
    folder: Path,
    http_replicas: Sequence[str],
    grpc_replicas: Sequence[str] = ("127.0.0.1:1", "127.0.0.1:1"),
    change: Callable[[str], str] = lambda text: text,
) -> Iterator[Balancer]:
    """Run HAProxy before two replicas on loopback.

    Args:
        folder: place for a changed configuration.
        http_replicas, grpc_replicas: HOST:PORT of each.
        change: makes another configuration of the package's.
    """
    balancer = Balancer(*(f"127.0.0.1:{port}" for port in find_ports(3)))
    environment = {"SPAIR_HTTP": balancer.http, "SPAIR_GRPC": balancer.grpc, "SPAIR_STATE": balancer.state}
    for place, http_replica, grpc_replica in zip(PLACES, http_replicas, grpc_replicas, strict=True):
        host, _, port = http_replica.rpartition(":")
        environment |= {f"SPAIR_{place}_HTTP": http_replica, f"SPAIR_{place}_GRPC": grpc_replica}
        environment |= {f"SPAIR_{place}_HOST": host, f"SPAIR_{place}_CHECK": port}
    file = folder / "haproxy.cfg"
    file.write_text(change(CONFIGURATION.read_text(encoding="utf-8")))
    log = folder / "haproxy.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [find_haproxy(), "-f", str(file)], env={**os.environ, **environment}, stdout=stream, stderr=stream
        )
        try:
            wait_until(lambda: process.poll() is not None or is_open(balancer.http), "HAProxy listens")
            assert process.poll() is None, log.read_text()
            yield balancer
        finally:
            process.kill()
            process.wait()


def is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


def ask(address: str, method: str, path: str, body: bytes = b"", headers: dict | None = None) -> tuple[int, bytes]:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()


class StandIn:
    """Replica that behaves as it is told."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.behaviour = "answer"
        """Either "answer", "die" (after reading the request), "busy" (503) or "silent"."""
        self.is_ready = True
        self.requests: list[bytes] = []
        self.checks = 0
        self.end = threading.Event()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stand_in.checks += 1
                self._answer(200 if stand_in.is_ready else 503, b"")

            def do_POST(self) -> None:
                stand_in.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
                if stand_in.behaviour == "die":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                elif stand_in.behaviour == "silent":
                    stand_in.end.wait(PATIENCE)
                    self.close_connection = True
                else:
                    is_busy = stand_in.behaviour == "busy"
                    self._answer(503 if is_busy else 200, b"busy" if is_busy else stand_in.requests[-1][::-1])

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.end.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def stand_ins() -> Iterator[list[StandIn]]:
    made = [StandIn(), StandIn()]
    yield made
    for one in made:
        one.close()
