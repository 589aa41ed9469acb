"""Checks of output places before long work."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PAGE = "--html"
"""Option that names a page."""


def read_place(text: str) -> str:
    """Check the place of results on the command line.

    It is a folder, the file of one video, or an address.

    Raises:
        UserError: the text ends like a picture file.
    """
    from ...runtime.errors import UserError
    from ...runtime.images.finding import READABLE_SUFFIXES

    path = Path(text)
    if path.suffix.lower() in READABLE_SUFFIXES and not path.is_dir():
        raise UserError(f"--out {text} is the name of a file; give a folder, in which results keep the names of inputs")
    return text


def check_writable(target: Path) -> None:
    """Refuse a folder that could not be made or written.

    Nothing is created.

    Raises:
        UserError: the target, or the nearest of its parents that exists, is not a folder or cannot be written.
    """
    from ...runtime.errors import UserError

    place = target.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise UserError(f"cannot write {target}: {place} is not a folder; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {target}: the folder {place} is not writable; choose another --out")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents.

    Raises:
        UserError: the folder cannot be made.
    """
    from ...runtime.errors import UserError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another --out") from error


def _holds_something_else(target: Path) -> bool:
    """Tell whether a file with content is no page."""
    try:
        with target.open("rb") as file:
            start = file.read(64).lstrip()
    except OSError:
        return False  # there is none, or the writing will say why not
    return bool(start) and not start.startswith(b"<")


def check_page(target: Path | None, option: str = PAGE) -> None:
    """Refuse a file that could not be written.

    Nothing is created.

    Args:
        target: the file; None for none.
        option: option that names it, for messages.

    Raises:
        UserError: the target is a folder, or a file that is no page where a page is to be; or its own folder does not
            exist or may not be written.
            A write-protected file is no obstacle, since it is replaced.
    """
    from ...runtime.errors import UserError

    if target is None:
        return
    folder = target.absolute().parent
    if target.is_dir():
        raise UserError(f"cannot write {target}: it is a folder; give the name of a file with {option}")
    if option == PAGE and _holds_something_else(target):
        raise UserError(f"cannot write {target}: the file that is there is no page; choose another {option}")
    if not folder.is_dir():
        raise UserError(f"cannot write {target}: there is no folder {folder}; make it, or choose another {option}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {target}: the folder {folder} is not writable; choose another {option}")


def check_cache() -> None:
    """Make the cache folder and check that it is writable.

    The check comes first, so that no seconds are spent on a tuning that could not be kept.

    Raises:
        UserError: the folder cannot be made or written.
    """
    from ...runtime.cache import cache_folder
    from ...runtime.errors import UserError

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"cannot keep this machine's tuning in {folder}: {error}; "
            "set SPAIR_CACHE to a folder that can be written, or give --no-store"
        ) from error
