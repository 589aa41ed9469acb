"""Small files of Linux below a root folder.

Boards are read below a root, "/" for this machine, so that recorded trees of other boards can be read too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
"""Root of this machine."""


def read_text(file: Path) -> str | None:
    """Read a small file without zero bytes and blanks around.

    Returns:
        The text; None where the file is absent, cannot be read, or is empty. Texts of the device tree end with a zero.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.replace("\0", " ").strip() or None


def read_number(file: Path) -> int | None:
    """Read a whole number.

    Returns:
        The number; None where the file has none, or the sensor behind it is off.
    """
    text = read_text(file)
    try:
        return None if text is None else int(text.split()[0])
    except ValueError:
        return None


def list_folders(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the folders that a pattern fits, sorted by number."""
    found = (path for path in folder.glob(pattern) if path.is_dir())
    yield from sorted(found, key=lambda path: (len(path.name), path.name))
