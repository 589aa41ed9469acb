"""Processes that compile kernels side by side.

They start with the first job and end with the block.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ....temporary.places import scratch_folder
from ...errors import PluginError

T = TypeVar("T")
R = TypeVar("R")

_LAST_WORDS = 400
"""Number of characters of a failed process's output that a message repeats."""
_RUN = """import sys; sys.path[0] or sys.path.pop(0)
import runpy; runpy.run_module('spair.plugins.compiler.kernels.worker', run_name='__main__', alter_sys=True)"""
"""Code that runs `worker.py` without the current folder on the path of modules.

A file there could hide a module of Python. `spair.runtime.children` does the same for the other folders, but this one
imports nothing of the toolkit.
"""


class Workers:
    """Context manager of at most `count` processes of `worker.py`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._all: list[_Worker] = []
        for _ in range(count):
            self._idle.put(None)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._all:
            worker.close()

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run a job of `worker.compile_kernel` and return its result.

        Waits for a process that is free.

        Raises:
            PluginError: the job failed, or its process ended.
        """
        worker = self._idle.get()
        if worker is None:
            worker = _Worker()
            self._all.append(worker)
        try:
            answer = worker.ask(job)
        except BaseException:
            worker.close()
            self._idle.put(None)
            raise
        self._idle.put(worker)
        return answer

    def map(self, call: Callable[[T], R], items: Iterable[T], finished: Callable[[R], None]) -> list[R]:
        """Call a function for each item, side by side.

        As many calls run at a time as there are processes; the first failure stops the rest.

        Args:
            call: function of one item.
            items: items, in the order of the results.
            finished: called with each result as soon as it is there.
        """
        items = list(items)
        with ThreadPoolExecutor(self._count) as pool:
            futures = [pool.submit(call, item) for item in items]
            try:
                for future in as_completed(futures):
                    finished(future.result())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            return [future.result() for future in futures]


class _Worker:
    """One process of `worker.py`."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        folder = self._stack.enter_context(scratch_folder("worker"))
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        # Line information would put paths of this machine into the code; Triton's own interpreter compiles nothing.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TRITON_")}
        environment |= {"TRITON_DISABLE_LINE_INFO": "1", "TRITON_DEFAULT_FP_FUSION": "1"}
        environment["TMPDIR"] = str(folder)  # what a killed process leaves goes with the folder
        environment["PYTHONPATH"] = os.pathsep.join(_search_path())
        self._process = subprocess.Popen(
            [sys.executable, "-c", _RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=environment,
            cwd=str(folder),
        )

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise PluginError(
                f"compiling {job['function']} for sm_{job['architecture']} ended Triton's process: {self._last_words()}"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise PluginError(
                f"cannot compile {job['function']} for sm_{job['architecture']}: {_shorten(answer['error'])}"
            )
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._words):
            try:
                stream.close()
            except BrokenPipeError:  # what was still to be written has no reader
                continue
        self._stack.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip()
        return f"exit code {code}" + (f", {_shorten(words)}" if words else "")


def _search_path() -> Iterator[str]:
    """List this process's module folders without the current one.

    The worker has another current folder.
    """
    return (str(Path(entry).resolve()) for entry in sys.path if entry)


def _shorten(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= _LAST_WORDS else f"{line[: _LAST_WORDS // 2]} … {line[-_LAST_WORDS // 2 :]}"
