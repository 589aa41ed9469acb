"""Streams of a network and cameras of V4L2 through PyAV, with limits and without secrets."""

import socket
import threading

import av
import pytest

from benchmarks.common.clips import read_number
from spair.runtime.errors import UserError
from spair.runtime.live.sinks import DATAGRAM
from spair.runtime.live.sources.addresses import PROTOCOLS, parse_source
from spair.runtime.live.sources.frames import LostError
from spair.runtime.live.sources.streams import StreamReader, list_options
from tests.runtime.live.doubles import ALL, StreamServer, make_stream
from tests.runtime.live.rtsp import RtspServer
from tests.serving.network import find_ports


def open_stream(text, max_pixels=ALL, clock=lambda: 0.0):
    return StreamReader(parse_source(text), max_pixels, clock)


@pytest.mark.parametrize("format", ["mpegts", "matroska", "flv"])
def test_every_frame_of_a_stream_arrives_with_its_time(format):
    times = iter(range(1000))
    with (
        StreamServer(make_stream(range(9), format)) as server,
        open_stream(f"tcp://127.0.0.1:{server.port}", clock=lambda: next(times)) as reader,
    ):
        frames = list(reader)
    assert [read_number(one.frame) for one in frames] == list(range(9))
    assert [one.time for one in frames] == list(range(9))
    assert {one.rate for one in frames} == {25} and not reader.finite and reader.damaged == 0


def test_a_stream_of_rtsp_arrives():
    """What comes behind the end is lost, so the last frames may be."""
    with RtspServer(make_stream(range(30))) as server, open_stream(f"rtsp://127.0.0.1:{server.port}/stream") as reader:
        frames = iter(reader)
        numbers = [read_number(next(frames).frame) for _ in range(20)]
    assert numbers == list(range(20))
    assert server.requests == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]


def test_a_stream_of_datagrams_arrives():
    """The sender begins anew until it is told to stop, since nobody waits for datagrams."""
    port, stop, data = find_ports(1)[0], threading.Event(), make_stream(range(30))

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.is_set():
                for start in range(0, len(data), DATAGRAM):
                    sender.sendto(data[start : start + DATAGRAM], ("127.0.0.1", port))
                    stop.wait(0.001)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with open_stream(f"udp://127.0.0.1:{port}") as reader:
            frames = iter(reader)
            assert all(read_number(next(frames).frame) < 30 for _ in range(30))
    finally:
        stop.set()
        thread.join()


def test_pictures_over_http_are_a_stream():
    """As cameras send them: JPEG pictures without a known end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=ffmpeg\r\nConnection: close\r\n\r\n"
    data = head + make_stream(range(9), "mpjpeg", codec="mjpeg")
    with StreamServer(data) as server, open_stream(f"http://127.0.0.1:{server.port}/video") as reader:
        frames = iter(reader)
        numbers = [read_number(next(frames).frame) for _ in range(9)]
        with pytest.raises(LostError):
            next(frames)
    assert numbers == list(range(9))


def test_a_server_cannot_name_local_files(tmp_path):
    """A list of files in place of a stream is no stream."""
    for words in (b"ffconcat version 1.0\nfile 'file:/etc/passwd'\n", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"):
        data = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + words
        with StreamServer(data) as server, pytest.raises(LostError):
            open_stream(f"http://127.0.0.1:{server.port}/list.m3u8")
    assert not any("file" in protocols.split(",") for protocols in PROTOCOLS.values())


def test_a_refused_connection_is_a_loss_without_the_address():
    with pytest.raises(LostError, match=r"^Connection refused$"):
        open_stream(f"tcp://me:secret@127.0.0.1:{find_ports(1)[0]}")


def test_silence_is_a_loss(monkeypatch):
    for limit in ("OPEN_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(f"spair.runtime.live.sources.streams.{limit}", 0.2)
    with (
        StreamServer(make_stream(range(9)), ends=False) as server,
        open_stream(f"tcp://127.0.0.1:{server.port}") as reader,
        pytest.raises(LostError, match="does not answer in time"),
    ):
        list(reader)


def test_frames_that_are_too_large_are_refused():
    with (
        StreamServer(make_stream(range(9))) as server,
        pytest.raises(UserError, match="48x32 are more than 100 pixels"),
    ):
        open_stream(f"tcp://127.0.0.1:{server.port}", max_pixels=100)


def test_a_camera_is_asked_for_what_its_name_says(monkeypatch):
    """V4L2 needs a device, so that PyAV is replaced here."""
    asked = {}

    def open_device(place, **options):
        asked.update(options, place=place)
        raise av.error.FileNotFoundError(2, "No such file or directory", place)

    monkeypatch.setattr(av, "open", open_device)
    with pytest.raises(LostError, match="No such file or directory"):
        open_stream("camera:3,size=640x480,rate=15")
    assert (asked["place"], asked["format"]) == ("/dev/video3", "v4l2")
    assert asked["container_options"] == {"video_size": "640x480", "framerate": "15"}
    assert list_options(parse_source("camera:0")) == {}


def test_this_pyav_reads_v4l2():
    """A file that is no device comes as far as the driver."""
    assert av.ContainerFormat("v4l2", "r").is_input
    with pytest.raises(av.error.FFmpegError):
        av.open("/dev/null", format="v4l2")
