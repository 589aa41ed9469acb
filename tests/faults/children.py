"""Copies of this process in which a fault is injected."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable

STEPS = frozenset(
    f"os.{name}"
    for name in ("mkdir", "rename", "remove", "rmdir", "truncate", "link", "symlink", "chmod", "listdir", "scandir")
) | {"open", "shutil.rmtree", "ctypes.dlsym"}
"""Events of Python's audit hooks that come right before a system call that writes, or between two of them."""
REFUSED = 10
"""Exit code after an error of the toolkit's own."""
BUG = 3
"""Exit code after any other error."""


def run(work: Callable[[], object]) -> int:
    """Run a function in a copy of this process.

    Returns:
        Its exit code: 0, `REFUSED`, `BUG`, that of a SystemExit, or the negative number of the signal that ended it.
    """
    child = os.fork()
    if child == 0:  # no exception may leave this branch: it would go on with the tests
        code = BUG
        with contextlib.suppress(BaseException):
            code = _guard(work)
        os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _guard(work: Callable[[], object]) -> int:
    try:
        work()
    except SystemExit as error:
        return int(error.code or 0)
    except Exception as error:
        if hasattr(error, "exit_code"):
            return REFUSED
        traceback.print_exc()
        return BUG
    return 0


def list_steps(work: Callable[[], object]) -> list[str]:
    """List the events of a function's steps, run in a copy of this process."""
    reader, writer = os.pipe()

    def watch() -> None:
        seen: list[str] = []
        sys.addaudithook(lambda event, _: seen.append(event) if event in STEPS else None)
        work()
        os.write(writer, "\n".join(seen).encode())  # less than a pipe takes without a reader

    assert run(watch) == 0
    os.close(writer)
    with os.fdopen(reader) as stream:
        return stream.read().split("\n")


def signal_at(step: int, number: int) -> None:
    """Send this process a signal right before its step of that number, counted from 0, once."""
    left = step

    def hook(event: str, _: object) -> None:
        nonlocal left
        if event in STEPS:
            left -= 1
            if left == -1:
                os.kill(os.getpid(), number)

    sys.addaudithook(hook)


def limit_files(size: int, *, kill: bool) -> None:
    """Let no file of this process grow beyond a number of bytes, as on a full disk.

    Args:
        size: the number.
        kill: whether the write that would go beyond kills the process; else it fails.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kill else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def drop_rights() -> None:
    """Become a user who may write nowhere, where this is root's process."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
