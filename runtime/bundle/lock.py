"""Lock that keeps writers of a bundle apart."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from ...temporary.names import stem_of
from ...temporary.places import finish

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Error numbers of file systems that have no locks."""


@contextlib.contextmanager
def lock_bundle(path: Path) -> Iterator[None]:
    """Hold the lock of a bundle for a `with` block.

    The lock is held on the file `.NAME.lock` beside the bundle, since the bundle's folder itself is replaced. The
    system gives it up when its process ends, however that happens, so a file that a killed process left blocks nobody.
    Where the system or the file system has no locks, writers are not kept apart: two that write within the same moment
    may then lose what one of them added.

    Args:
        path: the bundle's folder, which need not exist; its parent must.

    Raises:
        OSError: the lock's file cannot be made.
    """
    if fcntl is None:
        yield
        return
    file = path.with_name(f".{stem_of(path)}.lock")
    descriptor = _acquire(file)
    try:
        yield
    finally:
        # Removed while it is locked: a writer that waits for it then sees that it has the lock of a file that is gone.
        try:
            finish(lambda: file.unlink(missing_ok=True))
        finally:
            os.close(descriptor)


def remove_unheld(file: Path) -> bool:
    """Remove the lock file that a killed process left.

    Returns:
        Whether it was removed; False where a process holds it, or where it is not an empty file of ours.
    """
    if fcntl is None:
        return False
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_size:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink()
        return True
    except OSError:  # a process holds it, the file system has no locks, or the folder may not be written
        return False
    finally:
        os.close(descriptor)


def _acquire(file: Path) -> int:
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _wait_for(descriptor)
            if _is_at(descriptor, file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _is_at(descriptor: int, file: Path) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False
