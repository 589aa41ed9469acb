"""Window as a place that restored frames go to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable
from types import TracebackType

import numpy as np

from ...children import make_python_command
from ...errors import UserError
from ...video.options import load_av
from ..sinks import LiveFrame
from .program import SIZE

SHARE = 0.9
"""Share of the screen's sides that a window fills at most."""
END_SECONDS = 5.0
"""Time that the window has to close."""

_PROGRAM = "from spair.runtime.live.window.program import main; sys.exit(main(sys.argv[1]))"


class WindowSink:
    """Context manager with a window for restored frames.

    A frame larger than the screen is shown smaller. Frames for which the window has no time are left out.
    """

    shown = "window"

    def __init__(self, title: str) -> None:
        """Open a window.

        Args:
            title: words above it.

        Raises:
            UserError: there is no screen, or no tkinter.
        """
        self._process = subprocess.Popen(
            make_python_command(_PROGRAM, title), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._descriptor = self._process.stdin.fileno()
        try:
            facts = json.loads(self._process.stdout.readline() or '{"error": "its process ended"}')
            if "error" in facts:
                raise UserError(
                    f"--show cannot open a window: {facts['error']}; without one, leave --show out and give --out, or "
                    "look at the page of spair serve --live"
                )
        except BaseException:
            self.close()
            raise
        self._screen = tuple(facts["screen"])

    def call_when_closed(self, act: Callable[[], None]) -> None:
        """Call a function once the window is closed.

        It runs in a thread of its own, whoever closed the window.
        """

        def watch() -> None:
            self._process.wait()
            act()

        threading.Thread(target=watch, name="window", daemon=True).start()

    def write(self, one: LiveFrame) -> list[int]:
        """Show a frame; see `Sink`.

        After the window was closed it does nothing.
        """
        pixels = one.restored if one.restored.dtype == np.uint8 else (one.restored >> 8).astype(np.uint8)
        pixels = np.ascontiguousarray(shrink(pixels, *self._screen))
        data = memoryview(SIZE.pack(pixels.shape[1], pixels.shape[0]) + pixels.tobytes())
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._descriptor, data) :]
        return [one.ticks]

    def finish(self) -> None:
        """Do nothing, since every frame is out."""

    def abandon(self) -> None:
        """Do nothing, as `finish`."""

    def close(self) -> None:
        """Close the window; may be called twice."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> WindowSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def shrink(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Shrink a frame to what a window may fill.

    Args:
        pixels: [H, W, 3] uint8.
        width: that of the screen in pixels.
        height: likewise.

    Returns:
        The frame with its sides in proportion; the same one where it fits.
    """
    scale = min(SHARE * width / pixels.shape[1], SHARE * height / pixels.shape[0])
    if scale >= 1:
        return pixels
    sides = [max(1, int(scale * side)) for side in (pixels.shape[1], pixels.shape[0])]
    frame = load_av().VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
    smaller: np.ndarray = frame.reformat(*sides, format="rgb24").to_ndarray()
    return smaller
