"""Places for half-written content and for scratch files.

All are removed when their `with` block ends, however it ends. What a killed process left in the same folder is removed
when the next process makes a place there.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .leftovers import remove, sweep
from .names import name_beside, name_scratch

ROOM = 64 * 1024
"""Bytes free below which a disk counts as full."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
"""Error numbers of a full disk and of a used-up quota."""


class ScratchError(OSError):
    """Failure of the folder for temporary files."""

    exit_code = 2
    http_status = 500


@contextlib.contextmanager
def place_beside(target: Path) -> Iterator[Path]:
    """Give a free path beside a file or folder.

    The body writes a file or a folder there, and moves it away when it is complete.

    Args:
        target: the file or folder, which need not exist.
    """
    sweep(target.parent)
    path = name_beside(target)
    try:
        yield path
    finally:
        finish(lambda: remove(path))


@contextlib.contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Make a folder for temporary files, for this user alone.

    Args:
        purpose: a word for people, of letters and dashes, which becomes a part of the folder's name.

    Raises:
        ScratchError: there is no place for temporary files, or it became full, also where a library then failed for
            another reason, such as a file that it had cut short.
        OSError: it cannot be written.
    """
    parent = _find_parent()
    sweep(parent)
    folder = parent / name_scratch(purpose)
    try:
        folder.mkdir(mode=0o700)
        yield folder
    except Exception as error:
        if _ran_full(error, parent):
            raise ScratchError(
                f"the folder for temporary files {parent} is full; free space there, or name a folder of another disk "
                "in the variable TMPDIR"
            ) from error
        raise
    finally:
        finish(lambda: remove(folder))


def _find_parent() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise ScratchError(
            f"no folder for temporary files can be written ({error.strerror}); free space in one of them, or name "
            "another in the variable TMPDIR"
        ) from error


def _ran_full(error: Exception, parent: Path) -> bool:
    """Tell whether an error comes from a folder that became full.

    Errors that are told to users say their own reason.
    """
    if isinstance(getattr(error, "exit_code", None), int):
        return False
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is not None:
        return Path(str(error.filename)).is_relative_to(parent)
    if isinstance(error, OSError) and error.errno == errno.EDQUOT:
        return True
    try:
        return shutil.disk_usage(parent).free < ROOM
    except OSError:
        return False


def finish(clean: Callable[[], object]) -> None:
    """Clean up, and begin again where Ctrl-C or a signal interrupts it.

    Args:
        clean: may be called twice.
    """
    try:
        clean()
    except BaseException:
        clean()
        raise
