"""End of the process, also where its output is closed."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

BROKEN_PIPE = 141
"""Exit code when the reader of stdout is gone; the one that a shell shows for SIGPIPE."""

CAPTURE = "capture"
"""Name of threads that read cameras and streams, and may hang in a driver when the process ends."""

_closed = False


class OutputError(OSError):
    """Failure to write the result to stdout."""

    exit_code = 1


def open_streams() -> None:
    """Give the process the streams that it was started without.

    Otherwise the next file that is opened takes the number of stdout, and what a library prints goes into it.
    """
    global _closed
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            _closed = _closed or number == 1
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 (for the rest of the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


@contextmanager
def writing_result() -> Iterator[None]:
    """Write the result within the block.

    Whether it arrived is known at once.

    Raises:
        OutputError: stdout is closed, or its disk is full.
        typer.Exit: the reader is gone, as after `| head`, which is no error of ours and says nothing.
    """
    if _closed:
        raise OutputError("cannot write the result: stdout is closed; give it a place to go, such as > /dev/null")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        silence()
        raise typer.Exit(BROKEN_PIPE) from error
    except OSError as error:
        silence()
        raise OutputError(f"cannot write the result to stdout: {error.strerror or error}; free its place") from error


def is_reader_gone() -> bool:
    """Tell whether nobody reads stdout any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    except (OSError, ValueError):
        return False
    return False


def leave_hanging(code: int) -> None:
    """End the process beside threads that hang in drivers.

    Python's own end would pull the interpreter from under the driver, which then crashes the process: its work is done,
    and its exit code would say otherwise. Without such a thread nothing happens.

    Args:
        code: exit code of the process.
    """
    if not any(thread.name == CAPTURE for thread in threading.enumerate()):
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            continue
    os._exit(code)


def silence() -> None:
    """Drop what is still to be written to stdout.

    The end of the process would fail at it otherwise.
    """
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # not a real file, as in tests
        return
