"""End of the command by a signal.

SIGTERM and SIGHUP end a process at once, and whatever was half-written stays. Here they raise an exception, so that
every `with` block cleans up as it does after Ctrl-C. Python drops an exception in a destructor or in a function that a
library in C calls, such as the log of libvips; there Ctrl-C and these signals are raised again.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

_LATER = 0.01
"""Seconds after which a dropped exception is raised again, outside of the destructor."""


class Terminated(SystemExit):
    """End by a signal.

    The exit code is 128 and the number of the signal, as a shell reports it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = number


@contextlib.contextmanager
def ending_cleanly() -> Iterator[None]:
    """Raise `Terminated` when a signal asks the process to end.

    Only the first signal counts: `timeout` sends two, and the second would break off the cleaning. Signals that other
    code handles or that are ignored, as by nohup, are left alone, and so are all where this is not the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    hook = sys.unraisablehook
    sys.unraisablehook = _Again(hook)
    for number in ours:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    for one in _SIGNALS:
        if signal.getsignal(one) is _raise:
            signal.signal(one, _ignore)
    raise Terminated(number)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing; unlike SIG_IGN, child processes do not inherit it."""


class _Again:
    """Hook that raises dropped ends of the process again.

    These are `Terminated` and Ctrl-C. Python drops exceptions that are raised inside of a destructor, and inside of a
    function that C called.
    """

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    def __call__(self, dropped: Any) -> None:
        error = dropped.exc_value
        if isinstance(error, Terminated):
            signal.signal(error.signal, _raise)
            _send_later(error.signal)
        elif isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            _send_later(signal.SIGINT)
        else:
            self._hook(dropped)


def _send_later(number: int) -> None:
    """Send a signal to the main thread in a moment.

    At once, its exception would be dropped as well.
    """
    later = threading.Timer(_LATER, _thread.interrupt_main, [number])
    later.daemon = True
    later.start()
