"""Names that a dead process, or one of another machine, would have given."""

from __future__ import annotations

from pathlib import Path

from spair.temporary.names import TEMPORARY, name_beside
from spair.temporary.owners import this_process


def left_by_the_dead(target: Path, kind: str = TEMPORARY) -> Path:
    """Return a temporary name beside a target, of this process's number but another start."""
    return _change(target, kind, start=1)


def left_elsewhere(target: Path, kind: str = TEMPORARY) -> Path:
    """Return a temporary name beside a target, of a process that cannot be asked from here."""
    return _change(target, kind, place="00000000")


def _change(target: Path, kind: str, **other: str | int) -> Path:
    here = this_process()
    there = here._replace(**other)
    old, new = (f"{one.process:x}-{one.start:x}-{one.place}" for one in (here, there))
    return target.with_name(name_beside(target, kind).name.replace(old, new))
