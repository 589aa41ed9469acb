"""Files are whole or absent, streams arrive, and raw frames are their bytes."""

import io
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.common.clips import draw_frame, read_number, read_numbers, read_times
from spair.runtime.errors import UserError
from spair.runtime.live.plans import place_frame, plan_live
from spair.runtime.live.sinks import LiveFrame, RawSink, VideoSink
from spair.runtime.live.sources.frames import CapturedFrame
from spair.runtime.video.options import VideoOptions
from tests.patience import PATIENCE, wait_until
from tests.runtime.live.doubles import RATE
from tests.serving.network import find_ports

NO_MASK = np.zeros((0, 0), bool)
"""Mask that files, streams and pipes do not look at."""
ROOT = Path(__file__).resolve().parents[3]


def fill(sink, numbers, size=(49, 33)):
    """Write frames with their numbers, a tenth of a second apart; return the times that were out at once."""
    converter, out, last = None, [], None
    for place, number in enumerate(numbers):
        captured = CapturedFrame(av.VideoFrame.from_ndarray(draw_frame(number, *size), "rgb24"), place / 10, RATE)
        if converter is None:
            encoding, converter = plan_live(captured, "a", VideoOptions(), sink.suffix)
            sink.set_encoding(encoding)
        frame = converter.settle(captured.frame)
        last = place_frame(frame, captured.time, RATE, last)
        pixels = converter.to_rgb(frame)
        out += sink.write(LiveFrame(last, captured.time, frame, pixels, pixels, NO_MASK))
    return out


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_file_has_the_frames_at_the_times_of_their_capture(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    sink = VideoSink(str(path))
    assert fill(sink, range(5)) == [9000 * place for place in range(5)], "each frame is out at once"
    assert not path.exists(), "it is written beside its place"
    sink.finish()
    assert read_numbers(path) == list(range(5)) and [float(time) for time in read_times(path)] == [
        0,
        0.1,
        0.2,
        0.3,
        0.4,
    ]
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_an_abandoned_file_leaves_the_older_one(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("older")
    sink = VideoSink(str(path))
    fill(sink, range(2))
    sink.abandon()
    assert path.read_text() == "older" and [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_without_a_frame_no_file_is_made(tmp_path):
    sink = VideoSink(str(tmp_path / "a.mp4"))
    sink.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot write .*a.mp4: No such file or directory"):
        fill(VideoSink(str(tmp_path / "none" / "a.mp4")), range(1))


def test_a_stream_arrives_over_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        receiver.bind(("127.0.0.1", 0))
        sink = VideoSink(f"udp://127.0.0.1:{receiver.getsockname()[1]}")
        fill(sink, range(6))
        sink.finish()
        receiver.setblocking(False)
        datagrams = []
        try:
            while True:
                datagrams.append(receiver.recv(65536))
        except BlockingIOError:
            pass
    assert {len(one) for one in datagrams[:-1]} <= {1316, 188, 376, 564, 752, 940, 1128}
    assert decode(b"".join(datagrams)) == list(range(6))


def test_a_stream_arrives_over_tcp():
    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def receive():
            connection, _ = server.accept()
            with connection:
                received.extend(iter(lambda: connection.recv(65536), b""))

        thread = threading.Thread(target=receive)
        thread.start()
        sink = VideoSink(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        fill(sink, range(6))
        sink.finish()
        thread.join()
    assert decode(b"".join(received)) == list(range(6))


RECEIVER = """
import av, sys
from benchmarks.common.clips import read_number
address, format = sys.argv[1:]
waits = {"rtsp_flags": "listen", "listen_timeout": "300", "initial_timeout": "300"}
with av.open(address, format=format, container_options={"listen": "1"} if format == "flv" else waits) as container:
    frames = container.decode(video=0)
    print(*(read_number(next(frames)) for _ in range(20)))
    try:
        for _ in frames:
            pass
    except av.error.FFmpegError:
        pass  # the sender left, which a stream does not tell from a loss
"""


@pytest.mark.parametrize(("scheme", "format"), [("rtmp", "flv"), ("rtsp", "rtsp")])
def test_a_stream_is_pushed_to_a_server(scheme, format):
    """FFmpeg's own reader listens, as a server of streams does."""
    port = find_ports(1)[0]
    address = f"{scheme}://127.0.0.1:{port}/live/key"
    command = [sys.executable, "-c", RECEIVER, address, format]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as receiver:
        wait_until(lambda: receiver.poll() is not None or is_listening(port), "the receiver listened")
        sink = VideoSink(address)
        fill(sink, range(40))
        sink.finish()
        printed, _ = receiver.communicate(timeout=PATIENCE)
    assert printed.split() == [str(number) for number in range(20)]


def is_listening(port):
    """Tell whether somebody listens at a port, without a connection."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(line[1].endswith(f":{port:04X}") and line[3] == "0A" for line in lines)


def decode(data):
    with av.open(io.BytesIO(data), format="mpegts") as container:
        return [read_number(frame) for frame in container.decode(video=0)]


@pytest.mark.parametrize("scheme", ["tcp", "rtmp", "rtsp"])
def test_a_failure_hides_the_password(scheme):
    sink = VideoSink(f"{scheme}://me:secret@127.0.0.1:{find_ports(1)[0]}/live/secret")
    with pytest.raises(
        UserError, match=rf"cannot send to {scheme}://\*\*\*@127.0.0.1:\d+.*Connection refused"
    ) as error:
        fill(sink, range(1))
    assert "secret" not in str(error.value).replace("/live/secret" if scheme != "rtmp" else "", "")
    sink.abandon()


def test_raw_frames_are_their_bytes():
    reading, writing = os.pipe()
    pixels = draw_frame(5, 49, 33)
    sink = RawSink(writing)
    assert sink.write(LiveFrame(7, 0.0, None, pixels, pixels[:, ::-1], NO_MASK)) == [7]
    deep = pixels.astype(np.uint16) * 257
    sink.write(LiveFrame(8, 0.0, None, deep, deep, NO_MASK))
    sink.finish()
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert file.read() == pixels[:, ::-1].tobytes() + pixels.tobytes()


def test_a_reader_that_is_gone_is_told():
    reading, writing = os.pipe()
    os.close(reading)
    pixels = draw_frame(5, 49, 33)
    with pytest.raises(BrokenPipeError):
        RawSink(writing).write(LiveFrame(7, 0.0, None, pixels, pixels, NO_MASK))
    os.close(writing)
