"""`spair restore` on cameras and streams: sinks, limits, signals, refusals, and no secret on any stream."""

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.common.clips import HEIGHT, WIDTH, read_numbers
from spair.cli.restore.live import describe
from tests.patience import PATIENCE, wait_until
from tests.runtime.live.doubles import StreamServer, make_stream

COMMAND = [sys.executable, "-m", "spair.cli.main", "restore"]


def test_a_stream_becomes_a_file_with_a_report(spair, tiny_bundle, tmp_path):
    out = tmp_path / "new" / "a.mkv"
    with StreamServer(make_stream(range(20))) as server:
        source = f"tcp://me:secret@127.0.0.1:{server.port}"
        done = spair("restore", tiny_bundle, source, "--out", out, "--retries", 0, "--crf", 5, "--json")
    report = done.json
    assert done.code == 0 and "secret" not in done.out + done.err
    assert report["input"] == f"tcp://***@127.0.0.1:{server.port}" and report["output"] == str(out)
    assert report["captured"] == 20 == report["restored"] + report["dropped"] and report["stopped"] == "end"
    assert 0 < report["density"] < 1 and 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"]
    numbers = read_numbers(out)
    assert numbers[-1] == 19 and len(numbers) == report["restored"] and report["backend"]


def test_the_report_says_what_was_reused(spair, tiny_bundle, tmp_path):
    with StreamServer(make_stream([0] * 20, size=(200, 136))) as server:
        source = f"tcp://127.0.0.1:{server.port}"
        words = ["--out", tmp_path / "a.mkv", "--retries", 0, "--reuse", "fast", "--json"]
        report = spair("restore", tiny_bundle, source, *words).json
    assert 0 <= report["reused"] < 1 and report["note"] == ""


def test_people_read_the_same(spair, tiny_bundle, tmp_path):
    with StreamServer(make_stream(range(20))) as server:
        source = f"tcp://127.0.0.1:{server.port}"
        done = spair("restore", tiny_bundle, source, "--out", tmp_path / "a.mp4", "--frames", 1)
    lines = done.out.splitlines()
    assert lines[0] == f"{source} -> {tmp_path / 'a.mp4'}, {WIDTH}x{HEIGHT}"
    assert lines[1].startswith("1 frames, ") and " dropped, latency " in lines[1]
    assert lines[-1].endswith(": frames")


def test_a_lost_source_fails_with_what_there_is(spair, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("spair.runtime.live.sources.capture.FIRST_WAIT", 0.01)
    with StreamServer(make_stream(range(20))) as server:
        source = f"tcp://127.0.0.1:{server.port}"
        done = spair("restore", tiny_bundle, source, "--out", tmp_path / "a.mp4", "--retries", 2, "--json")
    assert done.code == 1 and done.json["stopped"] == "lost"
    assert f"{source}: the stream ended; trying again in 0.01 s (1 of 2)" in done.err
    assert f"error: {source} is lost: Connection refused" in done.err
    assert read_numbers(tmp_path / "a.mp4")[-1] == 19


@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_ends_a_stream_with_a_playable_file_and_a_report(tiny_bundle, tmp_path, number, code, words):
    """The server hangs after its frames, as a camera that goes on for ever; the sink shows when frames are out."""
    out = tmp_path / "a.mp4"
    with StreamServer(make_stream(range(40)), ends=False) as server:
        command = [*COMMAND, str(tiny_bundle), f"tcp://127.0.0.1:{server.port}", "--out", str(out), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_until(lambda: [one for one in tmp_path.iterdir() if one.stat().st_size], "the file had frames")
            process.send_signal(number)
            printed, told = process.communicate(timeout=PATIENCE)
    report = json.loads(printed)
    assert process.returncode == code and words in told and "Traceback" not in told, told
    assert report["stopped"] == "interrupted" and len(read_numbers(out)) == report["restored"] >= 1
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_raw_frames_pass_through_pipes(tiny_bundle):
    """From stdin to stdout; the report is on stderr."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    command = [*COMMAND, str(tiny_bundle), f"pipe:size={WIDTH}x{HEIGHT}", "--out", "-", "--json"]
    done = subprocess.run(command, input=pixels.tobytes(), capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == pixels.nbytes and json.loads(done.stderr.splitlines()[-1])["output"] == "-"


def test_a_reader_that_is_gone_ends_the_run(tiny_bundle):
    reading, writing = os.pipe()
    os.close(reading)
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    command = [*COMMAND, str(tiny_bundle), f"pipe:size={WIDTH}x{HEIGHT}", "--out", "-", "--json"]
    done = subprocess.run(
        command, input=pixels.tobytes(), stdout=writing, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
    )
    os.close(writing)
    assert done.returncode == 141 and b"Traceback" not in done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["stopped"] == "closed"


def test_a_stream_is_pushed_on(spair, tiny_bundle):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, StreamServer(make_stream(range(20))) as server:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        receiver.bind(("127.0.0.1", 0))
        out = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
        done = spair("restore", tiny_bundle, f"tcp://127.0.0.1:{server.port}", "--out", out, "--retries", 0, "--json")
        assert done.code == 0 and receiver.recv(65536)[0] == 0x47, "a packet of MPEG"
    assert done.json["output"] == out


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["camera:0", "more.png", "--out", "a.mp4"], "camera:0 is restored alone, and there are 2 inputs"),
        (["camera:0", "--out", "folder"], "--out folder is no place for the frames .*give a file"),
        (["camera:0", "--out", "http://host/a"], "frames are not sent to http://"),
        (["camera:0", "--out", "a.mp4", "--recursive"], "--recursive is for files; leave it out"),
        (["camera:0", "--out", "a.mp4", "--ray", "local"], "--ray is for files; leave it out"),
        (["camera:0", "--out", "a.mp4", "--seconds", "-1"], "--seconds -1.0 is no length of time"),
        (["camera:0", "--out", "a.mp4", "--codec", "divx"], "--codec divx is not written"),
        (["camera:99", "--out", "a.mp4"], "no frame came from camera:99: No such file or directory"),
        (["ftp://me:secret@host/a", "--out", "a.mp4"], r"streams of ftp:// are not read \(ftp://\*\*\*@host/a\)"),
        (["pipe:size=3x5", "--out", "a.mp4", "--max-pixels", "14"], "are more than 14 pixels"),
        (["clip.mp4", "--out", "out", "--frames", "3"], "--frames is for cameras and streams; leave it out"),
        (["clip.mp4", "--out", "udp://host:5"], "--out udp://host:5 is for a camera or stream, and the input is none"),
    ],
)
def test_what_does_not_fit_is_refused(spair, tiny_bundle, tmp_path, monkeypatch, words, match):
    monkeypatch.chdir(tmp_path)
    spair("restore", tiny_bundle, *words).refused(match)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_the_name_of_a_camera_is_a_file(spair, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camera:0").write_text("no picture")
    assert spair("restore", tiny_bundle, "camera:0", "--out", tmp_path / "out", "--json").code == 1


def test_without_the_package_one_sentence_says_what_to_install(spair, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    match = r"videos need the Python package av.*pip install 'spair-rt\[video\]'"
    spair("restore", tiny_bundle, "camera:0", "--out", tmp_path / "a.mp4").refused(match)


def test_a_line_says_how_it_goes():
    report = {"restored": 5, "fps": 2.25, "dropped": 7, "reconnects": 0, "latency_ms": {"p50": None, "p99": None}}
    assert describe(report) == "5 frames, 2.2 frames/s, 7 dropped, latency – (p99 –)"
    times = {"p50": 41.6, "p99": 90.0}
    assert describe({**report, "reconnects": 2, "latency_ms": times}).endswith(
        "latency 42 ms (p99 90 ms), lost 2 times"
    )
