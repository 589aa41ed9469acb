"""A real `spair serve` in a process of its own, and a look at what it holds."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE


@dataclass
class ServeProcess:
    """A server that is ready."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    """What `spair serve --json` printed."""
    lines: list[str] = field(default_factory=list)
    """What it wrote on standard error so far."""

    @property
    def http(self) -> str:
        """Address of the HTTP door, HOST:PORT."""
        return str(self.ready["http"])

    @property
    def grpc(self) -> str:
        """Address of the gRPC door, HOST:PORT."""
        return str(self.ready["grpc"])

    def list_processes(self) -> list[int]:
        """The server and its children, all generations."""
        found, waiting = [], [self.process.pid]
        while waiting:
            number = waiting.pop()
            found.append(number)
            for children in Path(f"/proc/{number}/task").glob("*/children"):
                with contextlib.suppress(OSError):  # the thread ended meanwhile
                    waiting += [int(word) for word in children.read_text().split()]
        return found

    def count_descriptors(self) -> int:
        """Open files, sockets and pipes of the server's own process."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def count_connections(self) -> int:
        """Connections to the HTTP door that the server has not closed; those of the kernel alone have no inode."""
        port = f":{int(self.http.rpartition(':')[2]):04X}"
        entries = [line.split() for line in Path(f"/proc/{self.process.pid}/net/tcp").read_text().splitlines()[1:]]
        return sum(entry[1].endswith(port) and entry[3] != "0A" and entry[9] != "0" for entry in entries)

    def measure_memory(self) -> int:
        """Resident bytes of the server and its children."""
        total = 0
        for number in self.list_processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{number}/status").read_text().split("VmRSS:")
                total += int(fields[1].split()[0]) * 1024 if len(fields) > 1 else 0
        return total

    def stop(self) -> int:
        """End it as a service manager does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()


def make_command(*arguments: object) -> list[str]:
    """Write the command of a server."""
    return [sys.executable, "-m", "spair.cli.main", "serve", *map(str, arguments)]


@contextlib.contextmanager
def served(*arguments: str | Path, environment: dict[str, str] | None = None) -> Iterator[ServeProcess]:
    """Serve on free ports of the loopback device, and end the server afterwards."""
    command = make_command(*arguments, "--port", 0, "--grpc-port", 0, "--json")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    lines: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    reader = threading.Thread(target=_collect, args=(process.stderr, lines), daemon=True)
    reader.start()
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
        watchdog.cancel()
        assert line, "the server did not become ready:\n" + "".join(lines)
        yield ServeProcess(process, json.loads(line), lines)
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        reader.join(PATIENCE)
        process.stderr.close()


def _collect(stream: Sequence[str] | Any, lines: list[str]) -> None:
    for line in stream:
        lines.append(line)
