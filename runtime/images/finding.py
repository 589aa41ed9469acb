"""Search for the pictures that a user names.

A name is a file, a folder or a glob pattern.
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ...temporary.names import parse_name
from ..errors import UserError
from .kinds import find_kind
from .writer import writable_suffixes

READABLE_SUFFIXES = (*writable_suffixes(), ".gif", ".avif")
"""Suffixes of pictures that can be read. Other files of folders are recognised by their content."""
IsVideo = Callable[[Path], bool]
"""Function that tells whether a file is a video."""
MASK = ".mask.png"
"""End of the names of masks, which are results and no inputs."""


@dataclass(frozen=True)
class InputFile:
    """Picture file to restore."""

    path: Path
    relative: Path
    """Path below the folder or pattern that the picture was found by; the output folder keeps this layout."""
    obstacle: str | None = None
    """Sentence why a folder at `path` could not be searched; None for a picture."""
    video: bool = False
    """Whether it is a video."""


def find_inputs(
    specs: Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = False,
    exclude: Path | None = None,
    announce: Callable[[str], None] = lambda sentence: None,
    is_video: IsVideo | None = None,
) -> list[InputFile]:
    """Find pictures by files, folders and glob patterns.

    Each picture is found once, and the order is always the same.

    Args:
        specs: files with any suffix, folders, whose pictures are found by suffix and by content, those that cannot be
            read among them, and patterns with * ? [ ] (** stands for any subfolders).
        recursive: look into the subfolders of folders too.
        exclude: folder to leave out of searches, usually the output folder, whose results are no inputs.
        announce: called with a sentence on what was left out: masks beside their pictures, and links to folders.
        is_video: tells videos, which are found too; None finds pictures alone.

    Returns:
        The pictures and videos, and with an obstacle each folder that could not be searched for more of them.

    Raises:
        UserError: an entry of `specs` does not exist, holds or matches no picture, or is a pattern with ".." after a
            wildcard.
    """
    found: dict[str, InputFile] = {}
    hidden = Path(os.path.realpath(exclude)) if exclude else None
    for spec in specs:
        for item in _expand(Path(spec), recursive, hidden, announce, is_video):
            # A link and its target are two pictures, so the key is the absolute path with links in it.
            found.setdefault(os.path.abspath(item.path), item)  # noqa: PTH100
    return [_mark_video(item, is_video) for item in found.values()]


def _mark_video(item: InputFile, is_video: IsVideo | None) -> InputFile:
    if is_video is None or item.obstacle is not None or not is_video(item.path):
        return item
    return replace(item, video=True)


def list_pictures(folder: Path, *, recursive: bool = False) -> list[Path]:
    """List the picture files of a folder.

    Pictures are recognised by suffix (`READABLE_SUFFIXES`) or by content, so that one of a kind that cannot be read is
    listed too, and fails by its name. They are sorted; hidden files are passed over.

    Args:
        folder: an existing folder.
        recursive: whether to look into subfolders.

    Raises:
        UserError: a folder cannot be searched, so pictures could be missing.
    """
    found, closed = _search(folder, recursive, None)
    if closed:
        raise UserError(_say_closed(*closed[0]))
    return found


def _search(folder: Path, recursive: bool, is_video: IsVideo | None) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Find pictures, videos and the folders that cannot be searched.

    Both are sorted; a folder comes with the system's reason.
    """
    found: list[Path] = []
    closed: list[tuple[Path, str]] = []

    def note(error: OSError) -> None:
        closed.append((Path(error.filename or folder), error.strerror or str(error)))

    for name, folders, files in os.walk(folder, onerror=note):
        place = Path(name)
        if not os.access(place, os.X_OK):  # its files' names can be read, but nothing else
            closed.append((place, os.strerror(errno.EACCES)))
            continue
        # A link to a picture counts among the folders when it leads to a folder, and is none then.
        found += [place / file for file in files if _is_wanted(place / file, is_video)]
        folders[:] = [one for one in folders if recursive and parse_name(one) is None]
    return sorted(found), sorted(closed)


def _say_closed(folder: Path, reason: str) -> str:
    return f"cannot look for pictures in the folder {folder}: {reason}; make it readable, or name the other folders"


def _is_wanted(path: Path, is_video: IsVideo | None) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    is_picture = path.suffix.lower() in READABLE_SUFFIXES or find_kind(path) is not None
    return is_picture or (is_video is not None and is_video(path))


def _expand(
    spec: Path, recursive: bool, hidden: Path | None, announce: Callable[[str], None], is_video: IsVideo | None
) -> list[InputFile]:
    if spec.is_dir():
        return _in_folder(spec, recursive, hidden, announce, is_video)
    if spec.is_file():
        return [InputFile(spec, Path(spec.name))]
    if spec.exists():
        raise UserError(f"the input {spec} is no file but a pipe or device; save the picture in a file first")
    if glob.has_magic(str(spec)):
        return _matching(spec, hidden, announce)
    raise UserError(f"the input {spec} does not exist; give a picture, a folder or a pattern like 'in/*.png'")


def _in_folder(
    folder: Path, recursive: bool, hidden: Path | None, announce: Callable[[str], None], is_video: IsVideo | None
) -> list[InputFile]:
    found, closed = _search(folder, recursive, is_video)
    files = [file for file in found if not _inside(file, hidden)]
    if not files and not closed:
        remedy = "give another" if recursive else "subfolders are not looked into: give one of them, or another folder"
        raise UserError(f"the folder {folder} holds no picture ({' '.join(READABLE_SUFFIXES)}); {remedy}")
    masks = _leave_out_masks(files, folder, announce)
    links = [path for path in folder.rglob("*") if path.is_symlink() and path.is_dir()] if recursive else []
    if links:
        announce(f"{len(links)} links to folders in {folder} are not followed ({min(links).name}); give them as inputs")
    kept = [InputFile(file, file.relative_to(folder)) for file in files if file not in masks]
    return kept + _name_closed(closed, folder, hidden)


def _name_closed(closed: list[tuple[Path, str]], base: Path, hidden: Path | None) -> list[InputFile]:
    return [
        InputFile(folder, folder.relative_to(base), _say_closed(folder, reason))
        for folder, reason in closed
        if not _inside(folder, hidden)
    ]


def _leave_out_masks(files: list[Path], place: Path, announce: Callable[[str], None]) -> set[Path]:
    """Find the masks that lie beside their pictures."""
    beside = {(file.parent, name) for file in files for name in (file.stem, file.name)}
    masks = {
        file for file in files if file.name.endswith(MASK) and (file.parent, file.name.removesuffix(MASK)) in beside
    }
    if masks:
        announce(
            f"{len(masks)} masks in {place} are left out ({min(masks).name}); name them one by one to restore them"
        )
    return masks


def _matching(pattern: Path, hidden: Path | None, announce: Callable[[str], None]) -> list[InputFile]:
    base = _until_magic(pattern)
    if ".." in pattern.parts[len(base.parts) :]:
        raise UserError(f"the pattern {pattern} has '..' after a wildcard; name the folder before the first wildcard")
    closed = [(folder, os.strerror(errno.EACCES)) for folder in _list_searched(pattern) if not _is_open(folder)]
    files = [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 (Path.glob takes no "/")
    kept = sorted(file for file in files if file.is_file() and not _inside(file, hidden))
    if not kept and not closed:
        raise UserError(f"no file matches {pattern}; check the pattern, and put it in quotes")
    masks = _leave_out_masks(kept, base, announce)
    found = [InputFile(file, file.relative_to(base)) for file in kept if file not in masks]
    return found + _name_closed(closed, base, hidden)


def _list_searched(pattern: Path) -> list[Path]:
    """List the folders whose contents a pattern is compared with.

    `glob` passes over those that it cannot read.
    """
    parts, found = pattern.parts, set()
    for index, part in enumerate(parts):
        if glob.has_magic(part):
            prefix = Path(*parts[: index + (part == "**")], "")
            found |= set(glob.glob(f"{prefix}{os.sep}", recursive=True))  # noqa: PTH207 (Path.glob takes no "/")
    return sorted(Path(name) for name in found)


def _is_open(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _until_magic(pattern: Path) -> Path:
    """Return the folder of a pattern before its first wildcard.

    Results keep the layout below it.
    """
    magic = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    return Path(*pattern.parts[:magic])


def _inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.realpath(path)).is_relative_to(folder)
