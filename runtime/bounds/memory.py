"""Free memory, asked for before much of it is taken."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import UserError

GIGABYTE = 1e9
"""Bytes of a gigabyte in messages."""

_NO_LIMIT = 1 << 60
"""Limit from which a control group says that there is none."""


def find_free_memory(root: Path = Path("/")) -> int | None:
    """Find the main memory that this process can still get.

    It is the least of what the system can give without swapping, what the control group (a container) leaves, and what
    `ulimit -v` leaves.

    Args:
        root: folder that holds `proc` and `sys`.

    Returns:
        The bytes; None where the system does not say.
    """
    known = [_read_available(root), _read_group(root), _read_rest(root)]
    return min((value for value in known if value is not None), default=None)


def say_gigabytes(count: float) -> str:
    """Format a number of bytes for people."""
    return f"{count / GIGABYTE:.1f} GB" if count >= GIGABYTE / 10 else f"{count / 1e6:.0f} MB"


def _read_available(root: Path) -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _read(root / "proc/meminfo"), re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def _read_group(root: Path) -> int | None:
    """Return what the control group leaves.

    Files that the kernel keeps in memory can be dropped and do not count.
    """
    folders = (
        (root / "sys/fs/cgroup", "memory.max", "memory.current", "file"),
        (root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache"),
    )
    for folder, limit, used, cached in folders:
        most, now = _read(folder / limit).strip(), _read(folder / used).strip()
        if most.isdecimal() and now.isdecimal() and int(most) < _NO_LIMIT:
            held = re.search(rf"^{cached} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
            return max(int(most) - int(now) + (int(held[1]) if held else 0), 0)
    return None


def _read_rest(root: Path) -> int | None:
    """Return what the limit of this process's addresses leaves."""
    limit = re.search(r"^Max address space\s+(\d+)\s", _read(root / "proc/self/limits"), re.MULTILINE)
    used = re.search(r"^VmSize:\s+(\d+) kB$", _read(root / "proc/self/status"), re.MULTILINE)
    return max(int(limit[1]) - 1024 * int(used[1]), 0) if limit and used else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # another system, or another version of control groups
        return ""


SMALL = 64 * 1024**2
"""Bytes below which memory is not asked for; asking takes longer than it is worth."""


class MemoryShortError(UserError):
    """Refusal of work that needs more memory than is free."""

    http_status = 413


def require_memory(need: int, what: str, advice: str) -> None:
    """Refuse work that needs more memory than is free.

    Linux promises memory that it does not have, and ends the process that uses it, without a word.

    Args:
        need: number of bytes that the work takes at least.
        what: the work, as a subject: "a picture of 9000x9000 pixels".
        advice: what to do about it.

    Raises:
        MemoryShortError: they are not free; the message has both figures.
    """
    if need < SMALL:
        return
    free = find_free_memory()
    if free is not None and need > free:
        raise MemoryShortError(
            f"{what} needs {say_gigabytes(need)} of memory and {say_gigabytes(free)} are free; {advice}"
        )
