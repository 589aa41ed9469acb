"""Atomic writing and hashing of files."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..temporary.names import BACKUP, name_beside
from ..temporary.places import place_beside
from .errors import UserError


class DiskFullError(UserError):
    """Disk or quota without room for a file."""


_FULL = {errno.ENOSPC, errno.EDQUOT}
"""Error numbers of a full disk and of a used-up quota."""


def write_atomically(target: Path, data: bytes) -> None:
    """Write a file completely or not at all.

    The data goes to a temporary file in the same folder, which is then moved into place. A failure leaves the existing
    file unchanged, and no temporary file behind.

    Raises:
        UserError: the folder does not exist or cannot be written, or the disk is full.
    """
    with replace_atomically(target) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replace_atomically(target: Path) -> Iterator[Path]:
    """Replace a file by one that a `with` block writes.

    This is `write_atomically` for data that comes in pieces, or from a library that takes a path. A failure in the
    body leaves the existing file unchanged, and no temporary file behind.

    Yields:
        A free path in the same folder, for the body to write to.

    Raises:
        UserError: the folder does not exist or cannot be written, or the disk is full.
    """
    with explaining_failure(target), place_beside(target) as temporary:
        yield temporary
        temporary.replace(target)


@contextmanager
def explaining_failure(target: Path) -> Iterator[None]:
    """Turn errors of a block that writes into sentences.

    Raises:
        UserError: the folder does not exist or cannot be written, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(
                f"cannot write {target}: {error.strerror}; free some space, or choose another disk"
            ) from error
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; give an existing folder that can be written"
        ) from error


_AT_CWD = -100
_RENAME_EXCHANGE = 2
"""Constants of Linux, from fcntl.h and linux/fs.h."""
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Error numbers of kernels and file systems that cannot exchange two names."""


def exchange_names(first: Path, second: Path) -> bool:
    """Exchange two files or folders in one step.

    At every moment each name leads to one of the two, so neither a reader nor a kill meets a name without content.

    Args:
        first: an existing file or folder.
        second: another one, on the same file system.

    Returns:
        Whether they were exchanged; False where the system or the file system cannot, and then nothing was done.

    Raises:
        OSError: a name does not exist, or the folder cannot be written.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        return False
    if rename(_AT_CWD, os.fsencode(first), _AT_CWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(first), None, str(second))


def replace_folder(new: Path, target: Path) -> None:
    """Move a folder into place.

    A failure leaves an older folder there as it was. Where the system can exchange them in one step, there is one at
    every moment. Where it cannot, and the process is killed between two renames, the older folder remains beside its
    place, and `settle` puts it back.

    Args:
        new: a complete folder beside the target.
        target: its place; an older folder there is removed.

    Raises:
        OSError: a folder cannot be renamed.
    """
    had_old, backup = target.exists(), name_beside(target, BACKUP)
    if had_old and exchange_names(new, target):
        shutil.rmtree(new, ignore_errors=True)
        return
    if had_old:
        target.rename(backup)
    try:
        new.rename(target)
    except OSError:
        if had_old:
            backup.rename(target)
        raise
    if had_old:
        shutil.rmtree(backup, ignore_errors=True)


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file in lower-case hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()
