"""The log is one JSON object a line, whatever it is told."""

import contextlib
import datetime
import io
import json
import os
import sys
import threading
from pathlib import Path

import pytest

from spair.serving import access_log
from spair.serving.access_log import AccessLog, choose_request_id
from tests.patience import PATIENCE


def test_a_line_has_time_event_and_what_is_known():
    stream = io.StringIO()
    AccessLog(stream).write("ready", model="rain", seconds=0.5, absent=None, path=Path("/a"), text="two\nlines ü")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert datetime.datetime.fromisoformat(entry.pop("time")).tzinfo is not None
    assert entry == {"event": "ready", "model": "rain", "seconds": 0.5, "path": "/a", "text": "two\nlines ü"}


def test_the_log_goes_to_standard_error(capsys):
    AccessLog().write("stop")
    captured = capsys.readouterr()
    assert captured.out == "" and json.loads(captured.err)["event"] == "stop"


def test_lines_of_many_threads_do_not_mix():
    stream = io.StringIO()
    log = AccessLog(stream)
    threads = [
        threading.Thread(target=lambda n=number: [log.write("request", n=n, i=i) for i in range(50)])
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sorted((entry["n"], entry["i"]) for entry in entries) == [(n, i) for n in range(8) for i in range(50)]


def test_a_stream_that_nobody_reads_holds_up_nobody_and_its_lost_lines_are_counted(monkeypatch):
    monkeypatch.setattr(access_log, "WAITING_LINES", 10)
    monkeypatch.setattr(access_log, "FLUSH_SECONDS", PATIENCE)
    reader, writer = os.pipe()
    lines = []
    with os.fdopen(reader, "rb") as source:
        late = threading.Thread(target=lambda: lines.extend(source))
        with os.fdopen(writer, "w") as stream:
            log = AccessLog(stream)
            with log.keep_writing():
                for number in range(300):  # more than any pipe holds
                    log.write("request", number=number, text="x" * 10_000)
                late.start()
        late.join()
    entries = [json.loads(line) for line in lines]
    kept = [entry["number"] for entry in entries if entry["event"] == "request"]
    dropped = sum(entry.get("dropped", 0) for entry in entries)
    assert kept == sorted(kept) and dropped > 0 and len(kept) + dropped == 300


def test_the_end_does_not_wait_for_a_stream_that_nobody_reads(monkeypatch):
    monkeypatch.setattr(access_log, "WAITING_LINES", 10)
    monkeypatch.setattr(access_log, "FLUSH_SECONDS", 0.01)
    reader, writer = os.pipe()
    # The reader goes first, which ends the writing; what the stream still holds then has no reader.
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb"):
        log = AccessLog(stream)
        with log.keep_writing():
            for _ in range(300):
                log.write("request", text="x" * 10_000)


def test_lines_that_wait_are_written_at_the_end(monkeypatch):
    monkeypatch.setattr(access_log, "FLUSH_SECONDS", PATIENCE)
    stream = io.StringIO()
    log = AccessLog(stream)
    with log.keep_writing():
        for number in range(100):
            log.write("request", number=number)
    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == list(range(100))


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_reader_that_is_gone_is_no_error(in_thread):
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    log = AccessLog(stream)
    if in_thread:
        with log.keep_writing():
            log.write("request")
            log.write("request")
    else:
        log.write("request")
    try:
        stream.close()
    except BrokenPipeError:
        assert not in_thread, "a line past the buffer leaves nothing to flush"


def test_without_standard_error_nothing_goes_to_standard_output(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    AccessLog().write("start")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("given", ["a", "0" * 128, "with blank"])
def test_a_short_printable_id_is_kept(given):
    assert choose_request_id({"x-request-id": given}) == given


@pytest.mark.parametrize("headers", [{}, {"x-request-id": ""}, {"x-request-id": "0" * 129}, {"x-request-id": "a\nb"},
                                     {"x-request-id": "ü"}])  # fmt: skip
def test_other_requests_get_a_new_id_each(headers):
    first, second = choose_request_id(headers), choose_request_id(headers)
    assert first != second and len(first) == 32 and first.isalnum()
