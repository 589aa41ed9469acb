"""Time that tests wait for what has to come.

A machine under load may be ten times slower than one's own, so no limit of a test is close to what it waits for. A test
waits for an event, such as a line, an answer or the end of a process; this is when it gives up on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds after which what was awaited is taken to never come; a test that passes never waits for them."""


def wait_until(is_true: Callable[[], object], what: str) -> None:
    """Wait until a condition holds, or fail.

    Args:
        is_true: the condition.
        what: words that say it, for the failure.
    """
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.01)
