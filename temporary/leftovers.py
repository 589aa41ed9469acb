"""Leftovers of processes that ended before they could clean up."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .names import BACKUP, SCRATCH, TEMPORARY, TemporaryName, parse_name, stem_of
from .owners import is_alive

UNTOUCHED = 24 * 3600.0
"""Seconds after which something is a leftover whose owner cannot be asked, since it ran on another machine."""

_swept: set[tuple[int, int, int]] = set()
"""Process, device and number of the folders that were looked into; a copy of this process looks again."""


class Leftover(NamedTuple):
    """File or folder with a temporary name."""

    path: Path
    name: TemporaryName
    alive: bool | None
    """Whether its owner runs, see `is_alive`."""

    @property
    def target_stem(self) -> str:
        """Stem of the file or folder that it lies beside; empty in the folder for temporary files."""
        return self.name.stem[1:] if self.name.stem.startswith(".") else ""


def list_temporary(folder: Path) -> Iterator[Leftover]:
    """List all that has a temporary name in a folder.

    A folder that is absent or cannot be read has none.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names alone are needed, of folders that may be large)
    except OSError:
        return
    for name in sorted(names):
        found = parse_name(name)
        if found is not None and name.startswith((".", SCRATCH)):
            yield Leftover(folder / name, found, is_alive(found.owner))


def is_abandoned(one: Leftover) -> bool:
    """Tell whether nobody works on a temporary file any more.

    Its owner is dead. Where that cannot be known, nothing in it was touched for `UNTOUCHED` seconds.
    """
    if one.alive is None:
        return time.time() - _last_touch(one.path) > UNTOUCHED
    return not one.alive


def sweep(folder: Path, *, again: bool = False) -> None:
    """Remove what dead processes left in a folder.

    Only what surely has no owner is removed, and never an older folder that was being replaced. A process looks into
    a folder once.

    Args:
        folder: the folder; it need not exist.
        again: look even if this process did before.
    """
    try:
        facts = folder.stat()
    except OSError:
        return
    key = (os.getpid(), facts.st_dev, facts.st_ino)
    if key in _swept and not again:
        return
    _swept.add(key)
    for one in list_temporary(folder):
        if one.alive is False and one.name.kind == TEMPORARY:
            remove(one.path)


def sweep_scratch() -> None:
    """Remove what dead processes left in the folder for temporary files."""
    try:
        sweep(Path(tempfile.gettempdir()))
    except OSError:  # there is no such folder: whoever needs it will say so
        return


def settle(target: Path) -> None:
    """Clear away what killed writers of a folder left beside it.

    A folder that one took away and did not replace is put back. Hold the target's lock.

    Raises:
        OSError: a folder cannot be put back.
    """
    stem = stem_of(target)
    for one in list_temporary(target.parent):
        if one.target_stem != stem:
            continue
        if one.name.kind == BACKUP and not one.alive and not os.path.lexists(target):
            one.path.rename(target)
        elif is_abandoned(one):
            remove(one.path)


def remove_beside(targets: Iterable[Path]) -> None:
    """Remove temporary files beside their targets, whoever made them.

    Only for targets that nobody writes any more.
    """
    stems: dict[Path, set[str]] = {}
    for target in targets:
        stems.setdefault(target.parent, set()).add(stem_of(target))
    for folder, known in stems.items():
        for one in list_temporary(folder):
            if one.target_stem in known and one.name.kind == TEMPORARY:
                remove(one.path)


def remove(path: Path) -> bool:
    """Remove a file, or a folder with all that is in it.

    Returns:
        Whether nothing is left of it.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:  # the parent is no folder, or may not be written
        return not os.path.lexists(path)
    return not os.path.lexists(path)


def _last_touch(path: Path) -> float:
    """Return the latest time that anything below a path was changed, in seconds since 1970."""
    latest = 0.0
    for folder, folders, files in os.walk(path):
        for name in (".", *folders, *files):
            latest = max(latest, _time_of(Path(folder, name)))
    return max(latest, _time_of(path))


def _time_of(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:  # somebody removed it meanwhile
        return time.time()
