"""Search for the pictures that a user names.

A name is a file, a folder or a glob pattern.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .writer import writable_suffixes

READABLE_SUFFIXES = (*writable_suffixes(), ".gif", ".avif")
"""Suffixes by which pictures are recognised in folders."""


@dataclass(frozen=True)
class InputFile:
    """Picture file to restore."""

    path: Path
    relative: Path
    """Path below the folder or pattern that the picture was found by; the output folder keeps this layout."""


def find_inputs(
    specs: Iterable[str | os.PathLike[str]], *, recursive: bool = False, exclude: Path | None = None
) -> list[InputFile]:
    """Find pictures by files, folders and glob patterns.

    Each picture is found once, and the order is always the same.

    Args:
        specs: files with any suffix, folders, whose pictures are recognised by their suffixes, and patterns with
            * ? [ ] (** stands for any subfolders).
        recursive: look into the subfolders of folders too.
        exclude: folder to leave out of searches, usually the output folder, whose results are no inputs.

    Raises:
        UserError: an entry of `specs` does not exist, or holds or matches no picture.
    """
    found: dict[str, InputFile] = {}
    hidden = Path(os.path.realpath(exclude)) if exclude else None
    for spec in specs:
        for item in _expand(Path(spec), recursive, hidden):
            # A link and its target are two pictures, so the key is the absolute path with links in it.
            found.setdefault(os.path.abspath(item.path), item)  # noqa: PTH100
    return list(found.values())


def list_pictures(folder: Path, *, recursive: bool = False) -> list[Path]:
    """List the picture files of a folder.

    Pictures are recognised by suffix (`READABLE_SUFFIXES`) and sorted; hidden files are passed over.

    Args:
        folder: an existing folder.
        recursive: whether to look into subfolders.
    """
    candidates = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(path for path in candidates if _is_picture(path))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in READABLE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _expand(spec: Path, recursive: bool, hidden: Path | None) -> list[InputFile]:
    if spec.is_dir():
        return _in_folder(spec, recursive, hidden)
    if spec.exists():
        return [InputFile(spec, Path(spec.name))]
    if glob.has_magic(str(spec)):
        return _matching(spec, hidden)
    raise UserError(f"the input {spec} does not exist; give a picture, a folder or a pattern like 'in/*.png'")


def _in_folder(folder: Path, recursive: bool, hidden: Path | None) -> list[InputFile]:
    files = [file for file in list_pictures(folder, recursive=recursive) if not _inside(file, hidden)]
    if not files:
        remedy = "give another" if recursive else "subfolders are not looked into: give one of them, or another folder"
        raise UserError(f"the folder {folder} holds no picture ({' '.join(READABLE_SUFFIXES)}); {remedy}")
    return [InputFile(file, file.relative_to(folder)) for file in files]


def _matching(pattern: Path, hidden: Path | None) -> list[InputFile]:
    base = _until_magic(pattern)
    files = [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 (Path.glob takes no "/")
    kept = sorted(file for file in files if file.is_file() and not _inside(file, hidden))
    if not kept:
        raise UserError(f"no file matches {pattern}; check the pattern, and put it in quotes")
    return [InputFile(file, file.relative_to(base)) for file in kept]


def _until_magic(pattern: Path) -> Path:
    """Return the folder of a pattern before its first wildcard.

    Results keep the layout below it.
    """
    magic = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    return Path(*pattern.parts[:magic])


def _inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.realpath(path)).is_relative_to(folder)
