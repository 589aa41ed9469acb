"""Choice of the cases that a usual run leaves out, since `make whole` runs them all.

Tables of many cases that take seconds each keep every nth case of each test; a few long tests are left out whole.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import pytest

VARIABLE = "SPAIR_WHOLE"
EMULATED = "under QEMU"
"""End of the names of emulated processors, whose every case is a process of its own."""
EMULATED_SHARE = 3


def choose_cases(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Divide tests into those that run and those that are left out.

    The first case of every test runs, but for tests marked as `whole`.
    """
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    seen: Counter[tuple[str, bool]] = Counter()
    for item in items:
        emulated = EMULATED in item.name
        mark = item.get_closest_marker("sampled")
        share = max(mark.args[0] if mark else 1, EMULATED_SHARE if emulated else 1)
        key = (item.nodeid.partition("[")[0], emulated)
        runs = seen[key] % share == 0 and item.get_closest_marker("whole") is None
        seen[key] += 1
        (kept if runs else left).append(item)
    return kept, left


def is_wanted(arguments: Sequence[str]) -> bool:
    """Tell whether cases are left out in this run; whoever names a test wants all of it."""
    return not os.environ.get(VARIABLE) and not any("::" in argument for argument in arguments)
