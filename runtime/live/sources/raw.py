"""Raw frames of a pipe, such as those of GStreamer."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import IO

import numpy as np

from ...errors import UserError
from ...video.options import load_av
from .addresses import SourceName
from .frames import USUAL_RATE, CapturedFrame, Clock, LostError

READ_SECONDS = 10.0
"""Seconds that a pipe may be silent."""
CSI_SIZE, CSI_RATE = (1280, 720), 30
"""Size and frames a second that are asked of a CSI camera where its name does not say."""
PROGRAM = "gst-launch-1.0"

_SLICE = 0.2
"""Seconds between two looks at whether reading shall stop."""
_END_SECONDS = 5.0
"""Seconds that a program has to end by itself."""
_WORDS_KEPT = 300
"""Characters of a program's last words that are shown."""


def make_csi_command(number: int, size: tuple[int, int], rate: int) -> list[str]:
    """Make the command that writes frames of a CSI camera.

    NVIDIA's source is read on the board's image processor, and its queue drops frames that nobody takes.

    Args:
        number: number of the sensor.
        size: width and height in pixels.
        rate: frames a second.
    """
    width, height = size
    camera = f"video/x-raw(memory:NVMM),width={width},height={height},framerate={rate}/1"
    return [
        PROGRAM, "-q", "nvarguscamerasrc", f"sensor-id={number}", "!", camera, "!", "nvvidconv", "!",
        "video/x-raw,format=RGBA", "!", "queue", "max-size-buffers=1", "leaky=downstream", "!", "fdsink", "sync=false",
    ]  # fmt: skip


class RawReader:
    """Pipe of raw frames, one behind the other."""

    def __init__(
        self, descriptor: int, name: SourceName, channels: int, clock: Clock, stop: Callable[[], bool]
    ) -> None:
        """Take a pipe.

        Args:
            descriptor: file descriptor, which stays open.
            name: name of the source, with the size of its frames.
            channels: bytes of a pixel, 3 for RGB, 4 for RGBA.
            clock: clock of the capture times.
            stop: tells whether reading shall end.
        """
        assert name.size is not None
        self._descriptor, self._size, self._channels = descriptor, name.size, channels
        self._rate = Fraction(name.rate or USUAL_RATE)
        self._clock, self._stop = clock, stop
        self.finite, self.damaged = True, 0

    def __iter__(self) -> Iterator[CapturedFrame]:
        """Yield frames.

        One that is cut short at the end is left out.
        """
        width, height = self._size
        make = load_av().VideoFrame.from_ndarray
        data = bytearray(width * height * self._channels)
        while self._fill(memoryview(data)):
            captured = self._clock()
            pixels = np.frombuffer(data, np.uint8).reshape(height, width, self._channels)
            yield CapturedFrame(make(np.ascontiguousarray(pixels[..., :3]), "rgb24"), captured, self._rate)

    def __enter__(self) -> RawReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the pipe to its owner."""

    def _fill(self, data: memoryview) -> bool:
        """Read a whole frame; False where the pipe ends."""
        silent = 0.0
        while data:
            if self._stop():
                return False
            ready, _, _ = select.select([self._descriptor], [], [], _SLICE)
            if not ready:
                silent += _SLICE
                if silent >= READ_SECONDS:
                    raise LostError(f"it wrote nothing for {READ_SECONDS:.0f} s")
                continue
            silent, count = 0.0, os.readv(self._descriptor, [data])
            if count == 0:
                return False
            data = data[count:]
        return True


class CsiReader(RawReader):
    """CSI camera, read by a program of GStreamer."""

    def __init__(self, name: SourceName, clock: Clock, stop: Callable[[], bool]) -> None:
        """Start the program.

        Raises:
            UserError: it is not installed.
        """
        if shutil.which(PROGRAM) is None:
            raise UserError(
                f"{name.shown} needs the program {PROGRAM}, which is not installed; install it: "
                "sudo apt-get install gstreamer1.0-tools"
            )
        size, rate = name.size or CSI_SIZE, name.rate or CSI_RATE
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the reader)
        self._process = subprocess.Popen(
            make_csi_command(name.number, size, rate), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self._words, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        super().__init__(self._process.stdout.fileno(), name._replace(size=size, rate=rate), 4, clock, stop)
        self.finite = False

    def __iter__(self) -> Iterator[CapturedFrame]:
        """Yield frames.

        Raises:
            LostError: the program ended, with its last words.
        """
        yield from super().__iter__()
        if not self._stop():
            self._end()
            raise LostError(f"{PROGRAM} ended{self._read_words()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the program."""
        self._end()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._words.close()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read_words(self) -> str:
        with contextlib.suppress(OSError):
            self._words.seek(0)
            words = " ".join(self._words.read().decode(errors="replace").split())[-_WORDS_KEPT:]
            return f": {words}" if words else ""
        return ""
