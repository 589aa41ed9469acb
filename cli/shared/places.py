"""Where results may go, checked before any long work."""

from __future__ import annotations

import os
from pathlib import Path


def check_writable(target: Path) -> None:
    """Refuse a folder that could not be made or written; nothing is created.

    Raises:
        UserError: the target, or the nearest of its parents that exists, is no folder or cannot be written.
    """
    from ...runtime.errors import UserError

    place = target.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise UserError(f"cannot write {target}: {place} is no folder; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {target}: the folder {place} is not writable; choose another --out")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents.

    Raises:
        UserError: it cannot be made.
    """
    from ...runtime.errors import UserError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another --out") from error
