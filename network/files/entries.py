"""Tensors in the content of a file, by dotted names."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import CheckpointError

DEPTH = 4
"""Levels of dictionaries and lists that are looked into."""
WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Parts that PyTorch's wrappers put anywhere into names."""
_AVERAGED = re.compile(r"(?!schema$).*ema|avg|average|averaged|swa|teacher")
"""Parts of names under which trainers keep averaged weights, which are the ones to deploy."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Tensor of a file."""

    name: str
    """Dotted name from the root of the file."""
    group: str
    """Dotted name of the dictionary that holds it."""
    value: Tensor


def list_entries(content: Any, path: Path, key: str | None) -> list[Entry]:
    """List the tensors of a file.

    Args:
        content: nested mappings and lists with tensors.
        path: file that the content comes from, for messages.
        key: dotted name of the dictionary to look into, as in "net_g"; None for all.

    Raises:
        CheckpointError: there are no tensors, or none under `key`.
    """
    entries = list(_walk(content))
    if not entries:
        raise CheckpointError(
            f"{path} does not hold a state dict of tensors; save model.state_dict() or a trainer's checkpoint"
        )
    if key is None:
        return entries
    inside = [entry for entry in entries if f".{key.strip('.')}." in f".{entry.name}"]
    if not inside:
        raise CheckpointError(
            f"{path} holds no weights under {key!r}, it has {_list_groups(entries)}; give one of these"
        )
    return inside


def _walk(content: Any, path: str = "", depth: int = 0) -> Iterator[Entry]:
    """Yield all tensors whose names are texts or positions."""
    if isinstance(content, Mapping):
        items = [(key, value) for key, value in content.items() if isinstance(key, str)]
    elif isinstance(content, (list, tuple)):
        items = [(str(index), value) for index, value in enumerate(content)]
    else:
        return
    for key, value in items:
        if isinstance(value, Tensor):
            yield Entry(path + key, path, value)
        elif depth < DEPTH:
            yield from _walk(value, f"{path}{key}.", depth + 1)


def remove_wrappers(name: str, known: Iterable[str] = ()) -> str:
    """Remove the parts of PyTorch's wrappers from a name.

    A name that the network itself has stays.
    """
    parts = name.split(".")
    if WRAPPERS.isdisjoint(parts) or name in known:
        return name
    return ".".join(part for part in parts if part not in WRAPPERS)


def prefixes_of(name: str) -> Iterator[str]:
    """Yield the beginnings of a dotted name, none first."""
    yield ""
    for match in re.finditer(r"\.", name):
        yield name[: match.end()]


def count_averages(prefix: str) -> int:
    """Count the parts of a prefix that name averaged weights."""
    return sum(_AVERAGED.fullmatch(part) is not None for part in re.split(r"[._]", prefix.lower()))


def _list_groups(entries: list[Entry]) -> str:
    counts = Counter(entry.group.rstrip(".") for entry in entries)
    return ", ".join(f"{group or 'the file itself'} ({count})" for group, count in counts.most_common(8))
