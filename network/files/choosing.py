"""Choice of a network's weights in a file.

Trainers wrap weights in dictionaries (`params_ema`, `net_g`) and modules (`module.`, `model.`). Both are treated alike,
as a prefix of dotted names: the prefix is taken under which most names of the network are found.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .entries import Entry, count_averages, list_entries, prefixes_of, remove_wrappers

_TRACKED = "num_batches_tracked"
"""Counter of batch normalisation that older files lack and inference does not read."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Weights that were found in a file."""

    tensors: dict[str, Tensor]
    """Weights by the names of the network."""
    prefix: str = ""
    """Prefix that was removed from the names in the file, dictionaries included, as in `params_ema.module.`."""
    added: str = ""
    """Prefix that was put before the names, where the network is wrapped and the file is not."""
    others: tuple[str, ...] = ()
    """Prefixes under which other weights fit as well; `--weights` chooses them."""
    ignored: tuple[str, ...] = ()
    """Parts of the file that were not taken, by the beginnings of their names."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of the place, without the weights."""
        return {name: getattr(self, name) for name in ("prefix", "added", "others", "ignored")}


def choose_weights(content: Any, names: Collection[str], path: Path, *, key: str | None = None) -> Choice:
    """Find the weights of a network in a file.

    Of all prefixes the one wins under which the most names of the network are found; then the one with the fewest names
    that the network does not have; then averaged weights (a part of the prefix ends in ema, or is avg, average, swa or
    teacher); then the first in the file. Names outside of it are not taken.

    Args:
        content: nested mappings and lists with tensors.
        names: names of the network's weights.
        path: file that the content comes from, for messages.
        key: dotted name of the dictionary to look into, as in "net_g"; None for all.

    Returns:
        The weights. Where no name fits, the largest dictionary as it is, so that a strict comparison can name the
        difference.

    Raises:
        CheckpointError: there are no tensors, or none under `key`.
    """
    entries = list_entries(content, path, key)
    known = frozenset(names)
    entries = [dataclasses.replace(entry, name=remove_wrappers(entry.name, known)) for entry in entries]
    prefix, added, others = _choose_prefix(entries, known)
    tensors = _select(entries, prefix, added, known)
    if not tensors:
        return Choice(_largest(entries))
    left = dict.fromkeys(
        _name_part(entry, prefix) for entry in entries if added + entry.name.removeprefix(prefix) not in tensors
    )
    return Choice(_complete(tensors, known), prefix, added, others, tuple(left))


def _choose_prefix(entries: list[Entry], known: frozenset[str]) -> tuple[str, str, tuple[str, ...]]:
    """Return the best prefix, one to add, and others.

    The others fit as many names.
    """
    best: tuple[int, str, list[str]] = (0, "", [])
    for added in _shared_beginnings(known):
        wanted = frozenset(name.removeprefix(added) for name in known)
        found = Counter(
            prefix for entry in entries for prefix in prefixes_of(entry.name) if _fits(entry, prefix, wanted)
        )
        most = max(found.values(), default=0)
        if most > best[0]:
            best = (most, added, [prefix for prefix, count in found.items() if count == most])
    _, added, prefixes = best
    order = sorted(
        prefixes, key=lambda prefix: (_count_surplus(entries, prefix, added, known), -count_averages(prefix))
    )
    return (order[0], added, tuple(order[1:])) if order else ("", "", ())


def _shared_beginnings(known: frozenset[str]) -> list[str]:
    """Return the beginnings that all names share.

    They begin with none, and leave a module in the names, since `weight` alone is found in any network.
    """
    beginnings = [""]
    while known:
        following = {name.removeprefix(beginnings[-1]).partition(".")[:2] for name in known}
        if len(following) != 1 or "" in (step := next(iter(following))):
            break
        beginnings.append(beginnings[-1] + "".join(step))
        if not all("." in name.removeprefix(beginnings[-1]) for name in known):
            return beginnings[:-1]
    return beginnings


def _fits(entry: Entry, prefix: str, wanted: frozenset[str]) -> bool:
    return entry.name[len(prefix) :] in wanted


def _count_surplus(entries: list[Entry], prefix: str, added: str, known: frozenset[str]) -> int:
    return sum(name not in known for name in _select(entries, prefix, added, known))


def _select(entries: list[Entry], prefix: str, added: str, known: frozenset[str]) -> dict[str, Tensor]:
    """Return the tensors under a prefix.

    They come from the dictionaries that hold names of the network, without the counters beside them.
    """
    named = [(added + entry.name[len(prefix) :], entry) for entry in entries if entry.name.startswith(prefix)]
    groups = {entry.group for name, entry in named if name in known}
    return {name: entry.value for name, entry in named if entry.group in groups and not _is_count(name, entry, known)}


def _is_count(name: str, entry: Entry, known: frozenset[str]) -> bool:
    """Tell whether a tensor is a mere counter."""
    return name not in known and entry.value.ndim == 0 and "." not in name


def _name_part(entry: Entry, prefix: str) -> str:
    """Name the part of the file with an unused tensor."""
    shared = entry.group if prefix.startswith(entry.group) else ""
    return shared + entry.name.removeprefix(shared).split(".")[0]


def _complete(tensors: dict[str, Tensor], known: frozenset[str]) -> dict[str, Tensor]:
    absent = [name for name in sorted(known) if name.endswith(_TRACKED) and name not in tensors]
    counters = [name for name in absent if name.removesuffix(_TRACKED) + "running_mean" in tensors]
    return {**tensors, **{name: torch.zeros((), dtype=torch.int64) for name in counters}}


def _largest(entries: list[Entry]) -> dict[str, Tensor]:
    group = Counter(entry.group for entry in entries).most_common(1)[0][0]
    return {entry.name.removeprefix(group): entry.value for entry in entries if entry.group == group}
