"""State dicts in the file of an unknown network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from .choosing import Choice
from .entries import Entry, count_averages, list_entries, prefixes_of, remove_wrappers

FEWEST = 2
"""Fewest tensors of a state dict."""
MOST = 64
"""Largest number of state dicts that are offered."""


def list_candidates(content: Any, path: Path, *, key: str | None = None) -> Iterator[Choice]:
    """Yield what may be the weights of one network.

    Every prefix of the dotted names may be that of a network: dictionaries (`params_ema`) and modules (`module.`) are
    treated alike. The largest come first; of equally large ones the averaged weights, and then the longest prefix,
    since what all names share is a wrapper.

    Args:
        content: nested mappings and lists with tensors.
        path: file that the content comes from, for messages.
        key: dotted name of the dictionary to look into, as in "net_g"; None for all.

    Raises:
        CheckpointError: there are no tensors, or none under `key`.
    """
    entries = [
        Entry(remove_wrappers(entry.name), entry.group, entry.value) for entry in list_entries(content, path, key)
    ]
    inside: dict[str, list[Entry]] = {}
    for entry in entries:
        for prefix in prefixes_of(entry.name):
            inside.setdefault(prefix, []).append(entry)
    order = sorted(
        (prefix for prefix, found in inside.items() if len(found) >= FEWEST),
        key=lambda prefix: (-len(inside[prefix]), -count_averages(prefix), -len(prefix)),
    )
    for prefix in order[:MOST]:
        yield _choose(entries, inside, prefix)


def _choose(entries: list[Entry], inside: dict[str, list[Entry]], prefix: str) -> Choice:
    named = ((entry.name.removeprefix(prefix), entry.value) for entry in inside[prefix])
    tensors: dict[str, Tensor] = {name: value for name, value in named if "." in name or value.ndim}  # no counters
    names = {*tensors}
    others = (
        other
        for other, found in inside.items()
        if other != prefix and len(found) >= len(names) and names == {e.name.removeprefix(other) for e in found}
    )
    left = (entry.name.split(".")[0] for entry in entries if not entry.name.startswith(prefix))
    return Choice(tensors, prefix, "", tuple(others), tuple(dict.fromkeys(left)))
