"""Command lines of further Python processes."""

from __future__ import annotations

import os
import sys

_LEAVE_FOLDER = "import sys; sys.path[0] or sys.path.pop(0)\n"


def make_python_command(code: str, *arguments: str) -> list[str]:
    """Make the command that runs code in another Python process.

    Both `-c` and `-m` put the current folder first on the child's path of modules, so a `json.py` of the folder that
    the user happens to be in would run in place of Python's own. The child drops that entry before it imports anything;
    `sys` itself is built in. Python's own switches do not serve: `-P` exists from 3.11 on only (PYTHONSAFEPATH, which
    leaves the entry out, may be set there), and `-I` would ignore PYTHONPATH too. Editable installs are found, since
    they hook in before any code runs.

    Args:
        code: Python statements; `sys` is imported already.
        arguments: what they find in `sys.argv[1:]`.
    """
    return [sys.executable, "-c", _LEAVE_FOLDER + code, *arguments]


def make_module_command(module: str, *arguments: str) -> list[str]:
    """Make the command that runs a module as `python -m` does."""
    return make_python_command(
        f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)", *arguments
    )


def open_standard_streams() -> None:
    """Open the null device in place of closed standard streams.

    A process that was started without some of them would give their numbers to the next files and sockets that it
    opens, and what its children print would go into those.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            os.set_inheritable(opened, True)
