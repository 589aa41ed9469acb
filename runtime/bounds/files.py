"""Reading of small files that others may have written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 8 * 1024**2
"""Bytes of the largest file of text that is read; what the toolkit writes itself is a hundredth of that."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags to open with; a FIFO without a writer would block for ever otherwise."""
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_bounded(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """Read a whole file, unless it is too large.

    Args:
        path: the file.
        most: largest number of bytes.

    Raises:
        OSError: the file does not exist or cannot be read.
        ValueError: it is no regular file (a FIFO and a device could block or never end), or it is too large. The
            message is a reason that completes "cannot read X: ".
    """
    _check_kind(Path(path).stat().st_mode)  # before it is opened, since opening a device may do something
    with os.fdopen(os.open(path, _FLAGS), "rb") as stream:
        _check_kind(os.fstat(stream.fileno()).st_mode)
        content = stream.read(most + 1)  # not by its size, which may grow meanwhile
    if len(content) > most:
        raise ValueError(f"it has more than {most} bytes, which is too large for such a file")
    return content


def read_text(path: str | os.PathLike[str], most: int = MOST_BYTES) -> str:
    """Read a whole file of UTF-8 text, within bounds.

    Args:
        path: the file.
        most: largest number of bytes.

    Raises:
        OSError, ValueError: see `read_bounded`; the bytes are not UTF-8.
    """
    return read_bounded(path, most).decode("utf-8")


def _check_kind(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for holds, words in _KINDS if holds(mode)), "no regular file")
        raise ValueError(f"it is {kind}, expected a file")
