"""Program of a child process.

It opens one model and computes its tasks. It ends when the data plane's end of its socket is closed, however that
happened. Signals that a terminal or a service manager sends to the whole group are left to the parent, which finishes
its requests first.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path

from ....runtime import GateError, UserError
from ....runtime.engine.errors import EngineError
from ...options import ModelOptions
from .memory import Arena
from .opening import Restoring, count_lanes, find_opener, warm
from .protocol import Opened, Opening, Task, pack, unpack
from .restoring import run_task

_PR_SET_PDEATHSIG = 1
"""Number of the order to `prctl` in Linux's headers."""


def main(descriptor: int) -> None:
    """Serve a data plane until it is gone.

    Args:
        descriptor: number of the open socket to the plane.
    """
    faulthandler.enable()
    _offer_to_die_first()
    _die_with_parent()
    os.set_inheritable(descriptor, False)  # the plane waits for its end, which no process of this one may keep open
    control = socket.socket(fileno=descriptor)
    order = unpack(Opening, _read_line(control))
    try:
        restorer, opened = _open(order)
    except Exception as error:
        control.sendall(pack(Opened(failure=_explain(error, order))))
        os._exit(1)
    control.sendall(pack(opened))
    for lane, arena in _take_lanes(control, opened.lanes):
        threading.Thread(target=_serve_lane, args=(restorer, lane, arena), daemon=True).start()
    with contextlib.suppress(OSError):
        control.recv(1)
    os._exit(0)  # at once, also while a task is computed that nobody waits for


def _offer_to_die_first() -> None:
    """Let the system take this process first.

    When memory runs out, the server goes on without it.
    """
    with contextlib.suppress(OSError):  # Linux has the file; other systems decide by themselves
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _die_with_parent() -> None:
    """Let the system end this process with its parent.

    The socket tells of that end too, but code of a library that holds Python's lock would keep this process from seeing
    it. It is the end of the parent's thread that counts, and the plane's event loop runs on that one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _open(order: Opening) -> tuple[Restoring, Opened]:
    options = ModelOptions(**order.options)
    restorer = find_opener(order.opener)(order.path, options)
    lanes = count_lanes(restorer, options)
    warm(restorer, lanes)
    return restorer, Opened(lanes, {**restorer.facts, "backend": restorer.backend, **_describe_options(restorer)})


def _describe_options(restorer: Restoring) -> dict[str, str]:
    """Return threshold and flips of a model, if any."""
    threshold, flips = getattr(restorer, "threshold", None), getattr(restorer, "flips", 1)
    return {
        **({} if threshold is None else {"threshold": f"{threshold:g}"}),
        **({} if flips == 1 else {"flips": str(flips)}),
    }


def _explain(error: Exception, order: Opening) -> str:
    if isinstance(error, UserError | GateError | EngineError | OSError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"memory ran out while {order.path} was opened {error}".strip()
    traceback.print_exception(error, file=sys.stderr)
    return f"opening {order.path} failed with an internal error ({type(error).__name__}); see the traceback in the log"


def _take_lanes(control: socket.socket, count: int) -> list[tuple[socket.socket, Arena]]:
    """Receive socket and memory of each lane."""
    lanes = []
    for _ in range(count):
        data, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not data:
            os._exit(0)
        lanes.append((socket.socket(fileno=descriptors[0]), Arena(descriptors[1])))
    return lanes


def _serve_lane(restorer: Restoring, lane: socket.socket, arena: Arena) -> None:
    try:
        with lane.makefile("rb") as lines:
            for line in lines:
                lane.sendall(pack(run_task(restorer, unpack(Task, line), arena)))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # a lane that ended alone would never answer


def _read_line(control: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = control.recv(1 << 16)
        if not data:
            os._exit(0)
        line += data
    return line
