"""Count of the faults that were injected, for the page on reliability."""

from __future__ import annotations

from collections import Counter

_faults: Counter[str] = Counter()


def count(kind: str) -> None:
    """Add a fault of a kind."""
    _faults[kind] += 1


def read_tally() -> dict[str, int]:
    """Return the number of faults by kind."""
    return dict(sorted(_faults.items()))
