"""Log of requests, a line of JSON each."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import queue
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

WAITING_LINES = 10_000
"""Largest number of lines that wait for a stream that nobody reads; further ones are dropped and counted."""
FLUSH_SECONDS = 2.0
"""Time that waiting lines have at the end."""


class AccessLog:
    """Writer of one JSON object a line.

    A stream that takes no lines, or none any more, never becomes an error of a request.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to a stream.

        Args:
            stream: None stands for standard error.
        """
        self._stream = stream
        self._lock = threading.Lock()
        self._waiting: queue.Queue[str | None] | None = None
        self._dropped = 0

    def write(self, event: str, **fields: Any) -> None:
        """Write a line, or let it wait within `keep_writing`.

        Args:
            event: "request", "start", "ready", "restart", "live", "drain", "stop", "warning" or "error".
            fields: values by name; None is left out.
        """
        line = _make_line(event, fields)
        if self._waiting is None:
            self._print(line)
            return
        with self._lock:
            try:
                self._waiting.put_nowait(line)
            except queue.Full:
                self._dropped += 1

    @contextlib.contextmanager
    def keep_writing(self) -> Iterator[None]:
        """Write in a thread, for which nobody waits.

        A pipe that is full because its reader sleeps would otherwise stop the server. At the end, lines that wait are
        written within `FLUSH_SECONDS`.
        """
        waiting: queue.Queue[str | None] = queue.Queue(WAITING_LINES)
        self._waiting = waiting
        writer = threading.Thread(target=self._write_waiting, args=(waiting,), daemon=True)
        writer.start()
        try:
            yield
        finally:
            with contextlib.suppress(queue.Full):
                waiting.put(None, timeout=FLUSH_SECONDS)
            writer.join(FLUSH_SECONDS)
            self._waiting = None

    def _write_waiting(self, waiting: queue.Queue[str | None]) -> None:
        while True:
            line = waiting.get()
            with self._lock:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                text = f"{dropped} lines were dropped, because the log was not read"
                self._print(_make_line("warning", {"text": text, "dropped": dropped}))
            if line is None:
                return
            self._print(line)

    def _print(self, line: str) -> None:
        stream = self._stream or sys.stderr
        if stream is None:  # the process was started without one
            return
        with contextlib.suppress(OSError, ValueError):  # its reader is gone, its disk is full, it was closed
            if self._waiting is not None and (descriptor := _find_descriptor(stream)) is not None:
                # Past the buffer of the stream, whose lock a writer that hangs would hold at the end of Python.
                _write_whole(descriptor, line.encode() + b"\n")
                return
            with self._lock:
                print(line, file=stream, flush=True)


def _make_line(event: str, fields: Mapping[str, Any]) -> str:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    known = {name: value for name, value in fields.items() if value is not None}
    return json.dumps({"time": now, "event": event, **known}, default=str)


def _find_descriptor(stream: TextIO) -> int | None:
    """Return the number of a stream's open file.

    None where it has none.
    """
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def _write_whole(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def choose_request_id(headers: Mapping[str, str]) -> str:
    """Return the request's own id, or a new one.

    Args:
        headers: headers or metadata by lower-case name; `x-request-id` is taken if it is short and printable.
    """
    given = headers.get("x-request-id", "")
    return given if 0 < len(given) <= 128 and given.isascii() and given.isprintable() else uuid.uuid4().hex
