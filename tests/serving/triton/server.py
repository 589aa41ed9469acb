"""Real tritonserver in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.patience import PATIENCE
from tests.serving.network import find_ports
from tests.serving.triton.setup import find_packages, make_environment, write_backends, write_interpreter

STOP_SECONDS = 30.0
"""Time after which a server that was told to end is killed."""
EXIT_SECONDS = 2
"""Time that the server gives to clients that keep their connections."""
CRASH_SECONDS = 2.0
"""Time in which a server whose doors are open still is seen to end."""
CRASH_LINES = 30
SHARED_MEMORY = Path("/dev/shm")


class RunningServer:
    """A server that answers.

    Args:
        command: program and words.
        environment: all its variables.
        addresses: HOST:PORT of HTTP, gRPC and metrics.
        log: file for what it prints.
        question: path that is answered with yes when the server is ready.
    """

    def __init__(
        self, command: list[str], environment: dict[str, str], addresses: list[str], log: Path, question: str
    ) -> None:
        self.http_address, self.grpc_address, self.metrics_address = addresses
        self._command, self._environment, self._log, self._question = command, environment, log, question
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as stream:
            return subprocess.Popen(
                self._command, stdout=stream, stderr=subprocess.STDOUT, env=self._environment, start_new_session=True
            )

    def start_again(self) -> str | None:
        """Start a server that has crashed again, at the same addresses.

        Returns:
            What became of it; None for a server that runs.
        """
        try:
            code = self.process.wait(CRASH_SECONDS)
        except subprocess.TimeoutExpired:
            if self._is_open():
                return None
            code = self.process.wait(PATIENCE)  # a core is written while its doors are closed already
        end = "\n".join(self.read_log().splitlines()[-CRASH_LINES:])
        self.stop()
        self.process = self._start()
        self.wait()
        return f"tritonserver ended with {code}, and was started again; the end of its log:\n{end}"

    def _is_open(self) -> bool:
        host, _, port = self.http_address.rpartition(":")
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port)), PATIENCE):
            return True
        return False

    def wait(self) -> None:
        """Wait until the server is ready."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, "tritonserver ended:\n" + self.read_errors()
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(self.http_address, timeout=PATIENCE)
                try:
                    connection.request("GET", self._question)
                    if connection.getresponse().status == 200:
                        return
                finally:
                    connection.close()
            time.sleep(0.1)
        raise AssertionError("tritonserver did not become ready:\n" + self.read_errors())

    def stop(self) -> None:
        """End the server, and what it started."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def read_log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def read_errors(self) -> str:
        """Lines on errors, and the table of models."""
        lines = self.read_log().splitlines()
        return "\n".join(
            line for line in lines if line.startswith(("E", "error:", "| ", "Traceback")) or "Error" in line
        )


@contextlib.contextmanager
def running(command: str, work: Path, *options: str, lenient: bool = False) -> Iterator[RunningServer]:
    """Start the server with a repository's own command, and end it afterwards.

    Args:
        command: words of "command" of `spair repository`; options that 2.51 does not know are left out.
        work: empty folder for backends and the log.
        options: more options.
        lenient: let the server go on when a model does not load, and do not wait for the models.
    """
    packages = find_packages()
    write_backends(work / "backends", packages)
    write_interpreter(work / "interpreter", packages)
    prefix = f"triton_{uuid.uuid4().hex[:12]}_"
    ports = find_ports(3)
    program, *words = shlex.split(command)
    assert program == "tritonserver"
    words = [word for word in words if not word.startswith("--http-max-input-size=")]
    for door, port in zip(("http", "grpc", "metrics"), ports, strict=True):
        words += [f"--{door}-address=127.0.0.1", f"--{door}-port={port}"]
    words += [f"--backend-directory={work / 'backends'}", f"--backend-config=python,shm-region-prefix-name={prefix}"]
    words += [f"--exit-on-error={str(not lenient).lower()}"]
    words += [f"--exit-timeout-secs={EXIT_SECONDS}", *options]
    binary = packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    server = RunningServer(
        [str(binary), *words],
        make_environment(packages, work / "interpreter"),
        [f"127.0.0.1:{port}" for port in ports],
        work / "log",
        "/v2/health/live" if lenient else "/v2/health/ready",
    )
    try:
        server.wait()
        yield server
    finally:
        server.stop()
        for region in SHARED_MEMORY.glob(f"{prefix}*"):
            region.unlink(missing_ok=True)
