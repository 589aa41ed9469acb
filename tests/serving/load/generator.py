"""Load on a server, with requests that start when they were meant to.

A generator that waits for an answer before it sends the next request goes easy on a server that stalls, and leaves out
of its figures what users would have waited ("coordinated omission"). Here every request has a time at which it should
start, and its latency counts from that time, however late a free connection was.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.patience import PATIENCE

Send = Callable[[], int]
"""Sends one request and returns its status; a wrong answer raises AssertionError."""


@dataclass
class LoadReport:
    """Answers to a load, with their times."""

    seconds: float
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    """Seconds of the requests that were answered with 200, from their intended start."""
    problems: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests per second that were answered with 200."""
        return self.statuses.get(200, 0) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency that a share of the requests stayed below, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run_closed(make_send: Callable[[], Send], *, clients: int, seconds: float) -> LoadReport:
    """Keep a number of clients busy, each with one request after another."""
    began = time.monotonic()
    stop = began + seconds
    return _run(make_send, clients, began, lambda: time.monotonic() if time.monotonic() < stop else None)


def run_open(make_send: Callable[[], Send], *, rate: float, seconds: float, clients: int, burst: int = 1) -> LoadReport:
    """Start requests at a steady rate, whatever the server does.

    `clients` bounds the connections; where all are busy, a request starts late and its latency says so. As many as
    `burst` start at a time.
    """
    began = time.monotonic() + 0.05
    turn = iter(range(int(rate * seconds)))
    lock = threading.Lock()

    def next_start() -> float | None:
        with lock:
            number = next(turn, None)
        return None if number is None else began + (number - number % burst) / rate

    return _run(make_send, clients, began, next_start)


def _run(
    make_send: Callable[[], Send], clients: int, began: float, next_start: Callable[[], float | None]
) -> LoadReport:
    report, lock = LoadReport(0.0), threading.Lock()

    def work() -> None:
        send = make_send()
        while (start := next_start()) is not None:
            time.sleep(max(0.0, start - time.monotonic()))
            try:
                status, problem = send(), None
            except AssertionError as error:
                status, problem = -1, str(error)
            except (OSError, http.client.HTTPException) as error:
                status, problem, send = -2, f"{type(error).__name__}: {error}", make_send()
            with lock:
                report.statuses[status] = report.statuses.get(status, 0) + 1
                if status == 200:
                    report.latencies.append(time.monotonic() - start)
                if problem:
                    report.problems.append(problem)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.seconds = time.monotonic() - began
    return report


def make_http_send(address: str, path: str, headers: dict[str, str], body: bytes, expected: Sequence[bytes]) -> Send:
    """Send a body over one kept connection; an answer of 200 must hold all that is expected."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)

    def send() -> int:
        connection.request("POST", path, body, headers)
        with connection.getresponse() as answer:
            data = answer.read()
            if answer.status == 200:
                assert all(part in data for part in expected), "a wrong answer with status 200"
            return answer.status

    return send
