"""Folder of a model repository.

It is written completely or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...runtime.bounds.files import read_text
from ...runtime.bounds.values import parse_json
from ...runtime.bundle.lock import lock_bundle
from ...runtime.bundle.writer import Content, write_contents
from ...runtime.errors import UserError
from ...runtime.files import replace_folder
from ...temporary.leftovers import settle
from ...temporary.places import place_beside

LISTING = "repository.json"
"""Name of the file that lists the others, so that they can be replaced later."""
SCHEMA = 1
"""Version of the listing."""


def check_place(folder: Path, force: bool) -> None:
    """Check that a repository may be written at a place.

    Call it before long work.

    Raises:
        UserError: a file, a link or a folder with files is there, and `force` is off; or the folder has files that no
            repository was written with, which are never removed.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"cannot write the repository {folder}: a file or link of that name exists; choose another")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not force:
        raise UserError(
            f"cannot write the repository {folder}: the folder is not empty; replace it with --force, or choose another"
        )
    foreign = _list_foreign(folder)
    if foreign:
        raise UserError(
            f"cannot replace the repository {folder}: {foreign[0]} in it was not written by spair repository and would "
            "be lost; move it away, or choose another folder"
        )


def write_folder(folder: Path, files: Mapping[str, Content], facts: Mapping[str, Any], force: bool) -> None:
    """Write a repository.

    It is completed in a temporary folder beside its place and then moved there, so a failure leaves the place as it
    was.

    Args:
        folder: the folder to make; its parent is made where it is missing.
        files: path inside the folder -> content.
        facts: values that the listing keeps beside the names of the files.
        force: replace an older repository.

    Raises:
        UserError: see `check_place`; the place cannot be written.
    """
    check_place(folder, force)
    target = folder.absolute()
    listing = {"schema": SCHEMA, **facts, "files": sorted(files)}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock_bundle(target):
            settle(target)
            check_place(folder, force)
            with place_beside(target) as temporary:
                write_contents(temporary, {**files, LISTING: (json.dumps(listing, indent=1) + "\n").encode()})
                replace_folder(temporary, target)
    except OSError as error:
        raise UserError(
            f"cannot write the repository {folder}: {error.strerror or error}; give a place that can be written"
        ) from error


def _list_foreign(folder: Path) -> list[str]:
    """List files that the folder's listing does not have.

    They are all where it cannot be read. What Python compiles of the models while a server runs does not count.
    """
    try:
        listing = parse_json(read_text(folder / LISTING))
        known = {LISTING, *listing["files"]} if listing["schema"] == SCHEMA else set()
    except (OSError, ValueError, TypeError, KeyError):
        known = set()
    found = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    own = (path for path in found if path.suffix != ".pyc" or path.parent.name != "__pycache__")
    return [name for name in (path.relative_to(folder).as_posix() for path in own) if name not in known]
