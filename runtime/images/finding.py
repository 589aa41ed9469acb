"""From what the user typed (files, folders, globs) to a list of pictures and where each result goes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from . import writable_suffixes

READABLE_SUFFIXES = (*writable_suffixes(), ".gif", ".avif")
"""Suffixes by which pictures are recognised in folders."""


@dataclass(frozen=True)
class InputFile:
    """A picture to restore."""

    path: Path
    relative: Path
    """Where it lies below the folder or glob it was found by; this layout is kept in the output folder."""


def find_inputs(
    specs: Iterable[str | os.PathLike[str]], *, recursive: bool = False, exclude: Path | None = None
) -> list[InputFile]:
    """Find the pictures named by files, folders and glob patterns, each once, in a stable order.

    Args:
        specs: files (any suffix), folders (their pictures, by suffix), patterns with * ? [ ] (** descends).
        recursive: look into the subfolders of folders too.
        exclude: a folder to leave out of searches: the output folder, whose results are no inputs.

    Raises:
        UserError: something that does not exist, or holds or matches no picture.
    """
    found: dict[str, InputFile] = {}
    hidden = Path(os.path.realpath(exclude)) if exclude else None
    for spec in specs:
        for item in _expand(Path(spec), recursive, hidden):
            # A link is a picture of its own, so the key is the absolute path, not what it resolves to.
            found.setdefault(os.path.abspath(item.path), item)  # noqa: PTH100
    return list(found.values())


def _expand(spec: Path, recursive: bool, hidden: Path | None) -> list[InputFile]:
    if spec.is_dir():
        return _in_folder(spec, recursive, hidden)
    if spec.exists():
        return [InputFile(spec, Path(spec.name))]
    if glob.has_magic(str(spec)):
        return _matching(spec, hidden)
    raise UserError(f"the input {spec} does not exist; give a picture, a folder or a pattern like 'in/*.png'")


def _in_folder(folder: Path, recursive: bool, hidden: Path | None) -> list[InputFile]:
    candidates = folder.rglob("*") if recursive else folder.iterdir()
    files = [f for f in candidates if _is_picture(f) and not _inside(f, hidden)]
    if not files:
        remedy = "give another" if recursive else "subfolders are not looked into: give one of those, or another"
        raise UserError(f"the folder {folder} holds no picture ({' '.join(READABLE_SUFFIXES)}); {remedy}")
    return [InputFile(file, file.relative_to(folder)) for file in sorted(files)]


def _matching(pattern: Path, hidden: Path | None) -> list[InputFile]:
    base = _until_magic(pattern)
    files = [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 (Path.glob takes no "/")
    kept = sorted(file for file in files if file.is_file() and not _inside(file, hidden))
    if not kept:
        raise UserError(f"no file matches {pattern}; check the pattern and quote it")
    return [InputFile(file, file.relative_to(base)) for file in kept]


def _until_magic(pattern: Path) -> Path:
    """The part of a pattern before its first wildcard: results keep the layout below it."""
    magic = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    return Path(*pattern.parts[:magic])


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in READABLE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.realpath(path)).is_relative_to(folder)
