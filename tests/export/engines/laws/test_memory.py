"""Memory that really runs out ends the child alone, and its parent says so."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BYTES = 96 << 20
"""Room for two interpreters and some blocks."""
PLACES = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
          ("/sys/fs/cgroup", "memory.max", "memory.swap.max"))  # fmt: skip
"""Folder of groups, and files of their bounds of memory and swap, in both versions of Linux's control groups."""
PARENT = """
import os, sys
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
from spair.export.engines.child.process import run_child
hungry = "blocks = []\\nwhile True:\\n    blocks.append(bytearray(b'x' * (8 << 20)))"
print(run_child([sys.executable, "-c", hungry], Path(sys.argv[2]), dict(os.environ), timeout=300))
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A group of processes with little memory."""
    for base, memory, swap in PLACES:
        folder = Path(base) / f"spair-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / memory).write_text(str(BYTES))
        except OSError:
            folder.rmdir()
            continue
        with contextlib.suppress(OSError):  # where there is no swap
            (folder / swap).write_text("0" if "swap" in swap else str(BYTES))
        yield folder
        folder.rmdir()
        return
    pytest.skip("Linux alone has groups with a bound of memory, and none can be made here")


def test_linux_ends_the_child_and_the_parent_says_why(group, tmp_path):
    command = [sys.executable, "-c", PARENT, str(group), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "the system ended its process because memory ran out"), (
        done.stderr
    )
