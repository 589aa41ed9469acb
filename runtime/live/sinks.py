"""Places that restored frames go to.

They are a file, a stream, or a pipe of raw frames.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...temporary.places import place_beside
from ..errors import UserError
from ..files import explaining_failure
from ..video.colour import FrameConverter
from ..video.encoding import Encoding, open_encoder, pad_frame
from ..video.options import CONTAINERS, load_av
from .sources.addresses import SINK_FORMATS, STDOUT, check_sink, find_scheme, hide_secrets, split_host

SEND_SECONDS = 10.0
"""Seconds that a receiver may take for a frame."""
DATAGRAM = 1316
"""Bytes of a UDP packet: seven packets of MPEG."""
STREAM_SUFFIX = ".mov"
"""Suffix of files with the codecs that streams hold, H.264 and HEVC."""


@dataclass(frozen=True)
class LiveFrame:
    """Captured frame with its restored pixels."""

    ticks: int
    """Time at which it is shown, in ticks."""
    captured: float
    """Seconds on the clock when it was captured."""
    frame: Any
    """The frame in the format of results, with its time."""
    pixels: np.ndarray
    """[H, W, 3] uint8 or uint16, its RGB."""
    restored: np.ndarray
    """[H, W, 3], the same restored; a network may enlarge it."""
    mask: np.ndarray | None
    """[H, W] bool, True where pixels were distorted; None of a network without a mask."""


class Sink(Protocol):
    """Place that restored frames go to."""

    shown: str
    """Its name without what is secret."""

    def write(self, one: LiveFrame) -> list[int]:
        """Hand a frame on.

        Returns:
            Times in ticks of the frames that are out now.
        """
        ...

    def finish(self) -> None:
        """Write what is held back, and close the place."""
        ...

    def abandon(self) -> None:
        """Close the place after a failure; nothing half-written remains."""
        ...


class VideoSink:
    """File or stream that frames are encoded for."""

    def __init__(self, target: str) -> None:
        """Take the place of a result.

        Args:
            target: path of a file, or an address.

        Raises:
            UserError: the address cannot be used.
        """
        check_sink(target)
        self._target, self.shown = target, hide_secrets(target)
        self._scheme = find_scheme(target)
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._temporary: Path | None = None

    @property
    def suffix(self) -> str:
        """Suffix of a file with the same codecs."""
        return STREAM_SUFFIX if self._scheme else Path(self._target).suffix.lower()

    def set_encoding(self, encoding: Encoding) -> None:
        """Say how frames are encoded, before the first."""
        self._encoding = encoding
        self._converter = FrameConverter(encoding.format, encoding.depth, encoding.colour)

    def write(self, one: LiveFrame) -> list[int]:
        """Encode and hand on a frame; see `Sink`."""
        with self._explaining():
            frame = self._converter.to_frame(one.frame, one.pixels, one.restored)
            frame = pad_frame(frame, self._encoding, self._converter)
            if self._container is None:
                self._container = self._open()
                self._stream = open_encoder(self._container, self._encoding, frame.width, frame.height)
            frame.pict_type = load_av().video.frame.PictureType.NONE
            return self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is held back; a file moves into place."""
        if self._container is None:
            return
        with self._explaining(), self._stack:
            self._mux(self._stream.encode(None))
            self._container.close()
            if self._temporary is not None:
                self._temporary.replace(self._target)

    def abandon(self) -> None:
        """Close the place, and remove a file."""
        with contextlib.suppress(Exception), self._stack:
            if self._container is not None:
                self._container.close()

    def _open(self) -> Any:
        av = load_av()
        if self._scheme is None:
            path = Path(self._target)
            self._temporary = self._stack.enter_context(place_beside(path))
            return av.open(f"file:{self._temporary.absolute()}", "w", format=CONTAINERS[self.suffix].format)
        format = SINK_FORMATS[self._scheme]
        if format == "mpegts":
            file = self._stack.enter_context(SocketFile(self._scheme, *split_host(self._target)))
            return av.open(file, "w", format=format, buffer_size=DATAGRAM)
        options = {"rtsp_transport": "tcp"} if format == "rtsp" else {"flvflags": "no_duration_filesize"}
        return av.open(self._target, "w", format=format, container_options=options)

    def _mux(self, packets: Any) -> list[int]:
        times = []
        for packet in packets:
            times.append(round(packet.pts * packet.time_base / self._encoding.time_base))
            self._container.mux(packet)
        return times

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        """Turn errors into sentences without secrets."""
        if self._scheme is None:
            with explaining_failure(Path(self._target)):
                yield
            return
        try:
            yield
        except OSError as error:  # those of FFmpeg are of this kind where the system refused something
            raise UserError(f"cannot send to {self.shown}: {error.strerror or type(error).__name__}") from error
        except load_av().error.FFmpegError as error:
            raise UserError(f"cannot send to {self.shown}: {error.strerror}") from error


class SocketFile:
    """File whose bytes go to a socket in limited time."""

    def __init__(self, scheme: str, host: str, port: int) -> None:
        """Connect.

        Raises:
            OSError: nobody answers.
        """
        if scheme == "tcp":
            self._socket = socket.create_connection((host, port), SEND_SECONDS)
            return
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.settimeout(SEND_SECONDS)
        self._socket.connect(address)

    def write(self, data: bytes) -> int:
        """Send bytes.

        A datagram that nobody takes is lost, as all others on the way."""
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.sendall(data)
        return len(data)

    def __enter__(self) -> SocketFile:
        return self

    def __exit__(self, *reason: object) -> None:
        self._socket.close()


class RawSink:
    """Pipe of frames in RGB, 3 bytes a pixel."""

    shown = STDOUT

    def __init__(self, descriptor: int) -> None:
        """Take a pipe.

        Args:
            descriptor: file descriptor, which stays open.
        """
        self._descriptor = descriptor

    def write(self, one: LiveFrame) -> list[int]:
        """Write a frame; see `Sink`.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        restored = one.restored
        pixels = restored if restored.dtype == np.uint8 else (restored >> 8).astype(np.uint8)
        data = np.ascontiguousarray(pixels).data.cast("B")
        while data:
            data = data[os.write(self._descriptor, data) :]
        return [one.ticks]

    def finish(self) -> None:
        """Do nothing, since every frame is out."""

    def abandon(self) -> None:
        """Do nothing, as `finish`."""
