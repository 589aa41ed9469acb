"""Streams made in memory, served on loopback, and sources without a device."""

from __future__ import annotations

import io
import socket
import threading
from fractions import Fraction

import av

from benchmarks.common.clips import HEIGHT, WIDTH, draw_frame
from spair.runtime.live.sources.frames import CapturedFrame, LostError

ALL = 10**9
"""Pixels of a frame without a limit."""
RATE = Fraction(25)


def make_stream(numbers, format="mpegts", size=(WIDTH, HEIGHT), codec="libx264"):
    """Encode numbered frames as a stream without delay."""
    data = io.BytesIO()
    options = {"tune": "zerolatency", "preset": "ultrafast", "g": "5"} if codec == "libx264" else {}
    with av.open(data, "w", format=format) as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(draw_frame(number, *size), "rgb24")
            frame.pts, frame.time_base = place, 1 / RATE
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return data.getvalue()


class StreamServer:
    """Server on loopback that sends one stream to each who connects, then closes.

    After the last stream it hangs, or where `ends` is set it refuses further connections."""

    def __init__(self, *streams, ends=True):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._streams, self._ends = streams, ends
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *reason):
        self._closing.set()
        self._listener.close()

    def _serve(self):
        for place, data in enumerate(self._streams):
            last = place == len(self._streams) - 1
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if last and self._ends:
                self._listener.close()
            with connection:
                try:
                    if data.startswith(b"HTTP"):
                        connection.recv(65536)  # unread, the request would reset the connection
                    connection.sendall(data)
                    if last and not self._ends:
                        self._closing.wait()
                except OSError:
                    return


class Frames:
    """Reader of given frames, each at a made-up time.

    Before each of them, and before the end, it calls `taken` with the function that tells whether to stop."""

    damaged = 0
    stop = staticmethod(lambda: False)

    def __init__(self, numbers, *, finite=True, lost=None, size=(WIDTH, HEIGHT), start=0.0, taken=None, times=None):
        self._numbers, self.finite, self._lost, self._size = numbers, finite, lost, size
        self._taken = taken
        self._times = times or [start + place / 10 for place in range(len(numbers))]

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        pass

    def __iter__(self):
        for place, number in enumerate(self._numbers):
            if self._taken is not None:
                self._taken(self.stop)
            frame = av.VideoFrame.from_ndarray(draw_frame(number, *self._size), "rgb24")
            yield CapturedFrame(frame, self._times[place], RATE)
        if self._taken is not None:
            self._taken(self.stop)
        if self._lost:
            raise LostError(self._lost)


def open_in_turn(*readers):
    """Make a function that opens one reader after the other; a text is a loss, and so is the end."""
    left = list(readers)

    def open_source(stop):
        reader = left.pop(0) if left else "No such device"
        if isinstance(reader, str):
            raise LostError(reader)
        if isinstance(reader, BaseException):
            raise reader
        reader.stop = stop
        return reader

    return open_source


class KeptFrames:
    """Sink that keeps what comes."""

    shown = "memory"

    def __init__(self):
        self.frames = []
        self.ended = ""

    def write(self, one):
        self.frames.append(one)
        return [one.ticks]

    def finish(self):
        self.ended = "finished"

    def abandon(self):
        self.ended = "abandoned"
