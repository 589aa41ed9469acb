"""Screens in memory, of Xvfb."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.patience import PATIENCE, wait_until


def has_screen() -> bool:
    """Tell whether a screen for tests can be started."""
    programs = all(shutil.which(name) for name in ("Xvfb", "xdotool"))
    return programs and importlib.util.find_spec("_tkinter") is not None


@dataclass(frozen=True)
class Screen:
    """Screen whose pixels lie in a file."""

    name: str
    """Value of DISPLAY."""
    file: Path
    width: int
    height: int

    def read(self) -> np.ndarray:
        """Return what is seen, [H, W, 3] uint8."""
        data = self.file.read_bytes()  # XWD: a head that begins with its length, colours, then rows of BGRX
        head, _, _, _, width, height = struct.unpack(">6I", data[:24])
        stride, colors = struct.unpack(">I", data[48:52])[0], struct.unpack(">I", data[76:80])[0]
        rows = np.frombuffer(data, np.uint8, stride * height, head + 12 * colors).reshape(height, stride)
        return rows[:, : 4 * width].reshape(height, width, 4)[..., 2::-1]

    def quit(self) -> None:
        """Press the key that closes the window, as its user does."""

        def press() -> bool:
            environment = {**os.environ, "DISPLAY": self.name}
            found = subprocess.run(
                ["xdotool", "search", "--onlyvisible", "--name", "restored"],
                env=environment,
                capture_output=True,
                check=False,
            )
            for window in found.stdout.split():
                subprocess.run(["xdotool", "windowfocus", window], env=environment, capture_output=True, check=False)
                subprocess.run(["xdotool", "key", "q"], env=environment, capture_output=True, check=False)
            return not found.stdout

        wait_until(lambda: not press(), "the window is there")
        wait_until(press, "the window is closed")


@contextlib.contextmanager
def open_screen(folder: Path, width: int, height: int) -> Iterator[Screen]:
    """Start a screen on a free number, and end it."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24", "-fbdir", str(folder)],
        pass_fds=(writing,), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    try:
        with os.fdopen(reading) as stream:
            number = stream.readline().strip()
        assert number, "Xvfb did not start"
        yield Screen(f":{number}", folder / "Xvfb_screen0", width, height)
    finally:
        process.terminate()
        process.wait(PATIENCE)
