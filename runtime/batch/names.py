"""Names of results that a file system cannot hold."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from ...temporary.places import place_beside
from ..errors import UserError


def check_inside(relative: Path, out: Path) -> None:
    """Refuse a result outside of the folder of results.

    Raises:
        UserError: the path is absolute or has "..".
    """
    if relative.is_absolute() or ".." in relative.parts:
        raise UserError(f"the result {out / relative} would lie outside of {out}; give the picture by another path")


def say_too_long(*targets: Path | None) -> str | None:
    """Say which result has too long a name.

    Returns:
        The sentence; None if the file system takes all names.
    """
    for target in targets:
        if target is not None:
            limit = _find_limit(_find_existing(target.parent))
            longest = max(len(os.fsencode(part)) for part in target.parts)
            if limit is not None and longest > limit:
                return (
                    f"cannot write {target}: its name has {longest} bytes, and the file system takes {limit}; "
                    "rename the picture"
                )
    return None


def refuse_twins(targets: Sequence[tuple[Path, Path]], out: Path) -> None:
    """Refuse results whose names the file system takes for one.

    Some ignore the case of letters, or whether an accent is a character of its own. Only where results have such names
    is it tried out, in a temporary folder.

    Args:
        targets: each result with its picture.
        out: folder of the results, which need not exist.

    Raises:
        UserError: one result would replace another.
    """
    groups: dict[str, tuple[Path, Path]] = {}
    for target, source in targets:
        other, owner = groups.setdefault(_fold(target), (target, source))
        if other != target and _are_one(_first_difference(other, target), _find_existing(out)):
            raise UserError(
                f"{owner} and {source} would both be written to {target}, since the file system takes these names for "
                "one; restore them into different folders"
            )


def _fold(path: Path) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def _first_difference(first: Path, second: Path) -> tuple[str, str]:
    return next((a, b) for a, b in zip(first.parts, second.parts, strict=True) if a != b)


def _are_one(names: tuple[str, str], folder: Path) -> bool:
    """Try out whether two names lead to one file."""
    try:
        with place_beside(folder / "names") as place:
            place.mkdir()
            (place / names[0]).touch()
            return os.path.lexists(place / names[1])
    except OSError:  # nothing can be written there, which is said when it is tried
        return False


def _find_existing(folder: Path) -> Path:
    """Return the nearest folder that exists."""
    return next((place for place in (folder, *folder.parents) if place.is_dir()), Path())


def _find_limit(folder: Path) -> int | None:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # the system does not say
        return None
