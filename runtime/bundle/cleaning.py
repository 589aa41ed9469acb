"""Removal of what killed processes left, on demand."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...temporary.leftovers import Leftover, is_abandoned, list_temporary, remove, settle
from ...temporary.names import BACKUP
from ..cache import cache_folder
from ..errors import UserError
from .lock import lock_bundle, remove_unheld
from .reader import MANIFEST


@dataclass
class Cleaning:
    """Report of a cleaning.

    Its fields are the keys of the command line's JSON.
    """

    folders: list[str] = field(default_factory=list)
    """Folders that were looked into."""
    removed: list[str] = field(default_factory=list)
    put_back: list[str] = field(default_factory=list)
    """Places of folders that a killed process had taken away to replace them."""
    kept: list[dict[str, str]] = field(default_factory=list)
    """{"path", "reason"} of what somebody may still work on."""
    failed: list[dict[str, str]] = field(default_factory=list)
    """{"path", "reason"} of what could not be removed."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `spair doctor --clean --json`."""
        return asdict(self)


def list_abandoned(folders: Iterable[Path] = ()) -> list[str]:
    """List what `clean` would take, in the same folders."""
    return [
        str(one.path) for place in _list_places(folders) for one in list_temporary(place.folder) if is_abandoned(one)
    ]


def clean(folders: Iterable[Path] = ()) -> Cleaning:
    """Remove what killed processes left.

    It looks into the folder for temporary files, the present folder, and the cache and the given folders with all
    that is below them. What a living process works on is kept; so is what a process of another machine touched within
    the last day.

    Args:
        folders: further folders.

    Raises:
        UserError: a given folder does not exist.
    """
    report = Cleaning()
    for place in _list_places(folders):
        if place.is_root:
            report.folders.append(str(place.folder))
        for one in list_temporary(place.folder):
            _take(one, report)
        _remove_locks(place, report)
    return report


@dataclass(frozen=True)
class _Place:
    folder: Path
    is_root: bool = True
    is_cache: bool = False


def _list_places(folders: Iterable[Path]) -> Iterator[_Place]:
    chosen = [Path(folder) for folder in folders]
    for folder in chosen:
        if not folder.is_dir():
            raise UserError(f"cannot look for leftovers in {folder}: it is not a folder; give an existing one")
    places = []
    with contextlib.suppress(OSError):  # there may be no folder for temporary files
        places.append((Path(tempfile.gettempdir()), False, False))
    with contextlib.suppress(OSError):  # the present folder may be gone
        places.append((Path.cwd(), False, False))
    with contextlib.suppress(UserError):  # without a home folder there is no cache either
        places.append((cache_folder(), True, True))
    places += [(folder, True, False) for folder in chosen]
    seen: set[str] = set()
    for root, deep, is_cache in places:
        for folder in _walk(root) if deep else [root]:
            if folder.is_dir() and (real := os.path.realpath(folder)) not in seen:
                seen.add(real)
                yield _Place(folder, folder == root, is_cache)


def _walk(root: Path) -> Iterator[Path]:
    """Yield a folder and those below it, leftovers themselves apart."""
    for name, folders, _ in os.walk(root):
        yield Path(name)
        found = {one.path.name for one in list_temporary(Path(name))}
        folders[:] = [one for one in folders if one not in found]


def _take(one: Leftover, report: Cleaning) -> None:
    target = one.path.with_name(one.target_stem or one.path.name)
    if one.name.kind == BACKUP and not one.alive and not os.path.lexists(target):
        try:
            with lock_bundle(target):
                settle(target)
        except OSError as error:
            report.failed.append({"path": str(one.path), "reason": error.strerror or str(error)})
            return
        report.put_back.append(str(target))
    elif not is_abandoned(one):
        report.kept.append({"path": str(one.path), "reason": _say_owner(one)})
    elif remove(one.path):
        report.removed.append(str(one.path))
    else:
        report.failed.append({"path": str(one.path), "reason": "it could not be removed; see who owns it"})


def _say_owner(one: Leftover) -> str:
    if one.alive:
        return f"the process {one.name.owner.process} works on it"
    return "it was made on another machine, in another container or before a restart, and touched within the last day"


def _remove_locks(place: _Place, report: Cleaning) -> None:
    """Remove the lock files of bundles that no writer holds."""
    for file in sorted(place.folder.glob(".*.lock")):
        target = file.with_name(file.name[1:].removesuffix(".lock"))
        is_ours = place.is_cache or target.suffix == ".spair" or (target / MANIFEST).is_file()
        if is_ours and remove_unheld(file):
            report.removed.append(str(file))
