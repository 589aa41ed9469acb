"""Atomic writing and hashing of files."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


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
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; give an existing folder that can be written"
        ) from error
    finally:
        _remove_quietly(temporary)


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the parent is not a folder, so nothing was written


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file in lower-case hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()
