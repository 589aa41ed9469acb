"""Owners of temporary files, which are processes."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Owner(NamedTuple):
    """Process that made a temporary file."""

    process: int
    """Number of the process."""
    start: int
    """Time of its start, which tells it from a later process of the same number; 0 where the system does not say."""
    place: str
    """Eight hexadecimal digits for the running system and its space of process numbers; a container has its own."""


def this_process() -> Owner:
    """Return this process as an owner."""
    number = os.getpid()
    return Owner(number, _read_start(number) or 0, _this_place())


def is_alive(owner: Owner) -> bool | None:
    """Tell whether an owner still runs.

    Returns:
        None where that cannot be known here: the owner ran on another machine or in another container, or before this
        machine was started.
    """
    if owner.place != _this_place() or os.name != "posix":
        return None
    try:
        os.kill(owner.process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # a process of another user
        pass
    start = _read_start(owner.process)
    return start is None or start == owner.start


def _read_start(process: int) -> int | None:
    """Read the time of a process's start, in ticks since the system's.

    A process that ended, and whose parent has not asked for its exit code yet, counts as -1.

    Returns:
        None where the system does not say.
    """
    try:
        fields = (_PROC / str(process) / "stat").read_bytes().rpartition(b")")[2].split()
        return -1 if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


@cache
def _this_place() -> str:
    try:
        words = [(_PROC / "sys/kernel/random/boot_id").read_text().strip(), str((_PROC / "self/ns/pid").readlink())]
    except OSError:  # no Linux
        words = [platform.node()]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]
