"""Calls of the C++ compiler, and its options."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ...errors import PluginError

COMPILE = ("-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-Wall", "-Wextra", "-Werror")
"""Options of every source. Unique symbols would keep a closed library in the process."""
LINK = ("-shared", "-Wl,-z,defs", "-Wl,-z,noexecstack", "-ldl")
"""Options of every library."""

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "native"


def run_compiler(command: list[str], what: str) -> str:
    """Run a compiler and return what it printed.

    Args:
        command: program and arguments.
        what: the thing that is made, for the message.

    Raises:
        PluginError: it failed; the message has the line that says why.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PluginError(f"{Path(command[0]).name} cannot make {what}: {_first_error(done.stderr)}")
    return done.stdout


def _first_error(words: str) -> str:
    """Find the cause in a compiler's output.

    It is one line of the output. The lines of the compiler's wrappers come after it.
    """
    for pattern in (r"undefined|multiple definition|cannot find", r"error|cannot"):
        for line in words.splitlines():
            if re.search(pattern, line):
                return line.strip()[:400]
    return words.strip()[:400] or "it printed nothing"
