"""Choice of the cases that a usual run leaves out, since `make whole` runs them all, and order of the files.

Tables of many cases keep one of every n of each test; a few long tests are left out whole.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Sequence

import pytest

VARIABLE = "SPAIR_WHOLE"
EMULATED = "under QEMU"
"""End of the names of emulated processors, whose every case is a process of its own."""
EMULATED_SHARE = 3


def choose_cases(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Divide tests into those that run and those that are left out.

    The first case of every test runs, but for tests marked as `whole`, and one of every n that follow. Which one
    differs from n to n: with the same one, a table of several axes would keep a single value of an axis.
    """
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    sizes = Counter(map(_name_table, items))
    seen: Counter[tuple[str, bool]] = Counter()
    for item in items:
        table = _name_table(item)
        mark = item.get_closest_marker("sampled")
        share = max(mark.args[0] if mark else 1, EMULATED_SHARE if table[1] else 1)
        runs = seen[table] == _choose(table[0], seen[table] // share, share, sizes[table])
        seen[table] += 1
        (kept if runs and item.get_closest_marker("whole") is None else left).append(item)
    return kept, left


def _name_table(item: pytest.Item) -> tuple[str, bool]:
    """Return the name of a case's test, and whether the case is emulated: those are counted by themselves."""
    return item.nodeid.partition("[")[0], EMULATED in item.name


def _choose(test: str, group: int, share: int, size: int) -> int:
    """Return the number of the case that runs of a group.

    It is the same in every run.

    Args:
        test: name of the test.
        group: number of the group among those of the table, from 0.
        share: number of cases in a group; the last one may have fewer.
        size: number of cases of the table.
    """
    first = group * share
    return first + (zlib.crc32(f"{test} {group}".encode()) % min(share, size - first) if group else 0)


def order_files(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Put files of the mark `early` first, and then those with the most tests.

    A process of several that begins a long file last is the only one that works in the end. Long files make what others
    wait for, too, such as bundles and packages.
    """
    counts = Counter(map(_name_file, items))
    return sorted(items, key=lambda item: (item.get_closest_marker("early") is None, -counts[_name_file(item)]))


def _name_file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def is_wanted(arguments: Sequence[str]) -> bool:
    """Tell whether cases are left out in this run; whoever names a test wants all of it."""
    return not os.environ.get(VARIABLE) and not any("::" in argument for argument in arguments)
