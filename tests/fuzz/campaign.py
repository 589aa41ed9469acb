"""Many fuzzed cases in a process of its own, each with a bound on time and memory.

Run from the repository root: `python -m tests.fuzz.campaign KIND COUNT [FIRST]`. It prints one JSON object: the cases
that were read and refused, the slowest, the largest growth, and the failures, whose files go to `tests/fuzz/seeds` when
they are mended. A case is its number, so that one that ends the process can be repeated.
"""

from __future__ import annotations

import collections
import faulthandler
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

MOST_SECONDS = 20.0
"""Longest time of a case."""
MOST_BYTES = 1_000_000_000
"""Largest memory that a case may take beyond what the process has; for graphs `GRAPH_BYTES` counts."""
GRAPH_BYTES = 12_000_000_000
"""Addresses of a process that runs graphs, whose nodes decide what they take."""


def run(name: str, count: int, first: int = 0, out: Path | None = None) -> dict[str, Any]:
    """Run the cases `first` to `first + count` of a kind."""
    from tests.fuzz.readers import KINDS, try_case

    kind = KINDS[name]
    good, tally = kind.make(), collections.Counter[str]()
    failures: list[dict[str, Any]] = []
    slowest = largest = 0.0
    with tempfile.TemporaryDirectory() as root:
        os.environ["SPAIR_CACHE"] = f"{root}/cache"
        os.chdir(root)
        for data in good:  # imports take longer than a case
            try_case(kind, data, Path(root) / "a")
        for number in range(first, first + count):
            chance = random.Random(f"{name} {number}")
            data = kind.mutate(chance.choice(good), chance)
            (Path(root) / "case").write_bytes(data)  # is left behind where the process ends
            faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
            before, started = _measure(), time.process_time()  # other programs do not count
            try:
                outcome = try_case(kind, data, Path(root) / "a")
            except Exception as error:
                if name == "graphs" and isinstance(error, MemoryError):
                    outcome = "refused"  # its nodes ask for it, and it is called what it is
                else:
                    outcome = "failed"
                    failures.append(_describe(number, error))
                    if out is not None:
                        (out / f"{name}-{number}").write_bytes(data)
            tally[outcome] += 1
            slowest, growth = max(slowest, time.process_time() - started), _measure_peak() - before
            largest = max(largest, growth)
            if growth > MOST_BYTES and name != "graphs":
                failures.append({"case": number, "error": f"it took {growth} bytes"})
    faulthandler.cancel_dump_traceback_later()
    return {
        "kind": name, "first": first, "cases": count, **tally, "slowest_s": round(slowest, 2),
        "largest_mb": round(largest / 1e6), "failures": failures,
    }  # fmt: skip


def _describe(number: int, error: Exception) -> dict[str, Any]:
    place = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-4:]
    return {"case": number, "error": f"{type(error).__name__}: {error!s:.200}", "place": place}


def _read_status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _measure() -> int:
    """Return the memory of this process, and begin its peak anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _read_status("VmRSS")


def _measure_peak() -> int:
    return _read_status("VmHWM")


def main(name: str, count: str, first: str = "0", out: str = "") -> int:
    """Run a campaign and print its figures."""
    if name == "graphs":
        resource.setrlimit(resource.RLIMIT_AS, (GRAPH_BYTES, GRAPH_BYTES))
    figures = run(name, int(count), int(first), Path(out) if out else None)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 1 if figures["failures"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
