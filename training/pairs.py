"""Degraded and clean pictures paired by file stem, checked before any work starts."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..runtime.errors import UserError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})
"""Lower case; other files in a folder (notes, thumbnails' indexes) are passed over."""

_NAMED = 3  # files named in a message; the rest is counted


@dataclass(frozen=True)
class Pair:
    """One picture to evaluate: its stem and its files. `mask` is the true distortion, where it is known."""

    name: str
    input: Path
    target: Path
    mask: Path | None = None


def pair_folders(inputs: Path, targets: Path, masks: Path | None = None) -> list[Pair]:
    """Pair the pictures of two or three folders by stem (`7.jpg` with `7.png`), numbers in natural order.

    Every file is decoded once, so that a long evaluation does not fail at its end.

    Raises:
        UserError: a folder is absent or without pictures; a stem occurs twice in a folder or is missing from
            one of them; a file cannot be read; the sizes of a pair differ. The message names the first files.
    """
    folders = {"input": inputs, "target": targets} | ({"mask": masks} if masks is not None else {})
    found = {role: _by_stem(Path(folder), role) for role, folder in folders.items()}
    for role in list(found)[1:]:
        _check_paired(found["input"], found[role], inputs, folders[role])
    pairs = [
        Pair(stem, path, found["target"][stem], found["mask"][stem] if masks is not None else None)
        for stem, path in sorted(found["input"].items(), key=lambda item: _natural(item[0]))
    ]
    _check_files(pairs)
    return pairs


def list_pictures(folder: Path) -> list[Path]:
    """The picture files of a folder by suffix (`SUFFIXES`), sorted; hidden files and folders are passed over."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]


def read_rgb(path: Path) -> np.ndarray:
    """A picture as float32 [H, W, 3], RGB 0..1: 8 bit, 16 bit or float, gray repeated, alpha left out."""
    values = _values(path)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)))


def read_mask(path: Path) -> np.ndarray:
    """A mask picture as bool [H, W]: true where any colour channel is above half of its range."""
    return np.any(_values(path) > 0.5, axis=2)


def fingerprint(pairs: Iterable[Pair]) -> str:
    """SHA-256 over names and contents of all files: reports with the same one measured the same pictures."""
    digest = hashlib.sha256()
    for pair in pairs:
        for path in (pair.input, pair.target, pair.mask):
            content = path.read_bytes() if path is not None else b""
            digest.update(f"{pair.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _values(path: Path) -> np.ndarray:
    """The colours of a file without alpha: float32 [H, W, 1 or 3], 0..1."""
    from ..runtime.images import read_image

    pixels = read_image(path).pixels
    colours = pixels[:, :, :3] if pixels.shape[2] > 1 else pixels
    if np.issubdtype(pixels.dtype, np.integer):
        return colours.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return colours.astype(np.float32)


def _natural(stem: str) -> tuple[int, int, str]:
    return (0, int(stem), stem) if stem.isdecimal() else (1, 0, stem)


def _by_stem(folder: Path, role: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"the {role} folder {folder} is not a folder: give the folder that holds the {role} pictures")
    stems = defaultdict(list)
    for path in list_pictures(folder):
        stems[path.stem].append(path)
    if not stems:
        raise UserError(f"the {role} folder {folder} has no pictures: expected files {', '.join(sorted(SUFFIXES))}")
    twice = [path.name for paths in stems.values() if len(paths) > 1 for path in paths]
    if twice:
        raise UserError(
            f"pictures pair by file stem, but the {role} folder {folder} has several files of one stem "
            f"({_listed(twice)}): keep one of each"
        )
    return {stem: paths[0] for stem, paths in stems.items()}


def _check_paired(ours: dict[str, Path], theirs: dict[str, Path], our_folder: Path, their_folder: Path) -> None:
    lonely = [ours[stem].name for stem in ours if stem not in theirs]
    extra = [theirs[stem].name for stem in theirs if stem not in ours]
    complaints = [
        f"{_listed(names)} of {folder} {'has' if len(names) == 1 else 'have'} no partner in {other}"
        for names, folder, other in ((lonely, our_folder, their_folder), (extra, their_folder, our_folder))
        if names
    ]
    if complaints:
        raise UserError(
            f"pictures pair by file stem, but {' and '.join(complaints)}: add or remove files to match them"
        )


def _check_files(pairs: Sequence[Pair]) -> None:
    unreadable, unequal = [], []
    for pair in pairs:
        sizes = {}
        for path in filter(None, (pair.input, pair.target, pair.mask)):
            try:
                height, width = _values(path).shape[:2]
                sizes[path] = f"{width}x{height}"
            except UserError as error:
                unreadable.append(str(error))
        if len(set(sizes.values())) > 1:
            unequal.append(", ".join(f"{path} is {size}" for path, size in sizes.items()))
    if unreadable:
        raise UserError(f"{len(unreadable)} of the files to evaluate cannot be used: {_listed(unreadable, ' | ')}")
    if unequal:
        raise UserError(f"the pictures of a pair must have one size, but {_listed(unequal, '; ')}: use matching files")


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    more = len(names) - _NAMED
    return separator.join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
