"""Child process with progress, time limit and clean end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_GRACE = 5.0
"""Seconds that a child has to end by itself once it was told to."""
_TAIL = 400
"""Number of characters of a child's log that a message tells."""


def run_child(
    command: Sequence[str],
    folder: Path,
    environment: dict[str, str],
    read_line: Callable[[str], None] = lambda line: None,
    timeout: float | None = None,
) -> str:
    """Run a command to its end.

    The command gets one more argument, the number of an open pipe. Each line that it writes there reaches `read_line`
    at once. What it prints goes to a file, so that it never waits for a reader.

    Whatever ends the wait early, such as Ctrl-C, ends the child and the processes that it started.

    Args:
        command: words of the command.
        folder: working folder; the file "log" is made in it.
        environment: variables of the child.
        read_line: called with each line, without its end.
        timeout: seconds until the child is stopped; None for no limit.

    Returns:
        Nothing for a child that ended well. Else the reason, with the last words of the log.
    """
    reader, writer = os.pipe()
    kills = count_kills()
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, str(writer)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writer,),
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the child's whole group
            )
        os.close(writer)
        writer = -1
        _offer(process.pid)
        with _ended(process):
            late = not _follow(process, reader, read_line, None if timeout is None else time.monotonic() + timeout)
            code = None if late else process.wait()
    finally:
        for number in (reader, writer):
            if number >= 0:
                os.close(number)
    reason = (
        f"its process was stopped after {timeout:g} seconds" if code is None else _describe(code, count_kills() - kills)
    )
    return reason and reason + _read_tail(folder / "log")


def run_script(
    command: Sequence[str], folder: Path, package: str, read_line: Callable[[str], None], timeout: float | None
) -> str:
    """Run a script that runs TensorRT.

    Args:
        command: words of the command.
        folder: see `run_child`; the script may write why it failed to the file "error" in it.
        package: package that runs engines, "tensorrt" or "tensorrt_rtx".
        read_line: see `run_child`.
        timeout: see `run_child`.

    Returns:
        Nothing for a script that ended well. Else the reason, in its own words if it left any.
    """
    reason = run_child(command, folder, make_environment(package, folder), read_line, timeout)
    failure = folder / "error"
    return failure.read_text() if failure.is_file() else reason


def make_environment(package: str, folder: Path) -> dict[str, str]:
    """Make the environment of a process that runs TensorRT.

    TensorRT-RTX's parser opens `libtensorrt_rtx.so`, and ends the process when the file is missing. The package has
    only `libtensorrt_rtx.so.1`, so links of the short names are made, and the loader reads LD_LIBRARY_PATH only when a
    process starts.

    Args:
        package: "tensorrt" or "tensorrt_rtx".
        folder: the links are made in its folder "links".
    """
    links = folder / "links"
    links.mkdir()
    spec = importlib.util.find_spec(f"{package}_libs")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for place in folders:
        for library in Path(place).glob("lib*.so.*"):
            link = links / f"{library.name.partition('.so.')[0]}.so"
            if not link.exists():
                link.symlink_to(library)
    paths = [str(links), *folders, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(paths)}


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a child's process group when the `with` block ends.

    After a child that ended by itself nothing is left to do.
    """
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)


def _follow(
    process: subprocess.Popen[bytes], reader: int, read_line: Callable[[str], None], deadline: float | None
) -> bool:
    """Read lines until the child closes the pipe or ends.

    Returns:
        False if the deadline came first.
    """
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None  # asked before the pipe, which then holds all that was written
            if deadline is not None and time.monotonic() > deadline and not ended:
                return False
            if not selector.select(0.0 if ended else 0.2):
                if ended:  # a process that the child started may still hold the pipe open
                    return True
                continue
            data = os.read(reader, 1 << 16)
            if not data:
                return _wait(process, deadline)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                read_line(line.decode(errors="replace"))


def _wait(process: subprocess.Popen[bytes], deadline: float | None) -> bool:
    """Wait for a child that has closed its pipe.

    Returns:
        False if the deadline came first.
    """
    try:
        process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _offer(process: int) -> None:
    """Let the system end a child before all other processes.

    Where memory runs out, Linux takes the process of the highest score. This one, which waits for the child and says
    what became of it, must not be taken.
    """
    with contextlib.suppress(OSError):  # the child has ended already, or this is not Linux
        Path(f"/proc/{process}/oom_score_adj").write_text("1000")


def count_kills(statistics: Path = Path("/proc/vmstat")) -> int:
    """Count the processes that Linux ended for want of memory.

    Args:
        statistics: file of Linux; 0 where it does not tell.
    """
    try:
        found = re.search(r"^oom_kill (\d+)$", statistics.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _describe(code: int, kills: int) -> str:
    """Describe a bad end of a process.

    Args:
        code: its exit code, negative after a signal.
        kills: number of processes that the system ended meanwhile, for want of memory.
    """
    if code == 0:
        return ""
    if code > 0:
        return f"its process ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL" and kills:
        return "the system ended its process because memory ran out"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


def _read_tail(log: Path) -> str:
    words = " ".join(log.read_text(errors="replace").split())[-_TAIL:]
    return f" ({words})" if words else ""
