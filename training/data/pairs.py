"""Pairs of a degraded and a clean picture.

Pairs are found by file stem, checked before any work starts, and read.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ...runtime.clock import CountProgress
from ...runtime.errors import UserError
from ...runtime.images import read_image
from ...runtime.images.finding import READABLE_SUFFIXES, list_pictures

_NAMED = 3  # files named in a message; the others are counted
_WORKERS = min(8, os.cpu_count() or 1)  # decoding threads; libvips works outside Python's lock


@dataclass(frozen=True)
class Pair:
    """Files of a degraded picture and its clean one.

    Raises:
        ValueError: `side` is given for two different files.
    """

    name: str
    """Name, unique in its list, without a slash."""
    input: Path
    target: Path
    mask: Path | None = None
    """File of the true mask; None where it is not known."""
    side: Literal["", "input-left", "input-right"] = ""
    """Half of the file that is the input where one file holds both pictures; "" for two files.

    The other half is the target.
    """

    def __post_init__(self) -> None:
        if self.side and self.input != self.target:
            raise ValueError(f"two halves must lie in one file, but {self.name} has {self.input} and {self.target}")

    @property
    def files(self) -> tuple[Path, ...]:
        """List the files of the pair, each once."""
        halves = (self.input,) if self.side else (self.input, self.target)
        return halves if self.mask is None else (*halves, self.mask)


def pair_folders(
    inputs: Path, targets: Path, masks: Path | None = None, *, check: bool = True, progress: CountProgress | None = None
) -> list[Pair]:
    """Pair the pictures of two or three folders by stem.

    `7.jpg` belongs to `7.png`. The pairs come in natural order: numbers are sorted by value.

    Args:
        inputs: folder of the degraded pictures.
        targets: folder of the clean pictures.
        masks: folder of the true masks, or None.
        check: whether to run `check_pairs`, which decodes every file.
        progress: callback of `check_pairs`, which counts files.

    Raises:
        UserError: a folder is absent or has no pictures; a stem occurs twice in a folder or is missing from one of
            them; or the files fail `check_pairs`. The message names the first files.
    """
    folders = {"input": inputs, "target": targets} | ({"mask": masks} if masks is not None else {})
    found = {role: _by_stem(Path(folder), role) for role, folder in folders.items()}
    for role in list(found)[1:]:
        _check_paired(found["input"], found[role], inputs, folders[role])
    pairs = [
        Pair(stem, path, found["target"][stem], found["mask"][stem] if masks is not None else None)
        for stem, path in sorted(found["input"].items(), key=lambda item: natural_order(item[0]))
    ]
    if check:
        check_pairs(pairs, progress)
    return pairs


def check_pairs(pairs: Sequence[Pair], progress: CountProgress | None = None, scale: int = 1) -> None:
    """Check pairs by decoding every file once.

    A long run then does not fail at its end. Files are decoded whole, because a truncated file has an intact header. A
    file that serves several pairs is decoded once. `progress` counts files, and `scale` is as in `read_pair`.

    Raises:
        UserError: files cannot be read, differ in size within a pair, or hold two halves in an odd width. All such
            files are found first; the message names the first of each kind and counts the others.
    """
    paths = list(dict.fromkeys(path for pair in pairs for path in pair.files))
    sizes = dict(zip(paths, _sizes(paths, progress), strict=True))
    unreadable = [size for size in sizes.values() if isinstance(size, str)]
    odd = [str(pair.input) for pair in pairs if pair.side and _width(sizes[pair.input]) % 2]
    unequal = [words for pair in pairs if (words := _unequal(pair, sizes, scale))]
    complaints = []
    if unreadable:
        complaints.append(f"{len(unreadable)} of the files cannot be used: {listed(unreadable, ' | ')}")
    if odd:
        complaints.append(f"two pictures side by side need an even width, but {listed(odd)} cannot be halved")
    if unequal:
        complaints.append(f"{_say_rule(scale)}, but {listed(unequal, '; ')}: use matching files")
    if complaints:
        raise UserError("; ".join(complaints))


def keep_usable(
    pairs: Sequence[Pair], progress: CountProgress | None, announce: Callable[[str], None], scale: int = 1
) -> list[Pair]:
    """Leave out the pairs that `check_pairs` would refuse.

    `announce` is called with the reason for each of them; `progress` and `scale` are as in `check_pairs`.

    Raises:
        UserError: no pair can be used.
    """
    paths = list(dict.fromkeys(path for pair in pairs for path in pair.files))
    sizes = dict(zip(paths, _sizes(paths, progress), strict=True))
    kept: list[Pair] = []
    reasons: list[str] = []
    for pair in pairs:
        unreadable = (size for path in pair.files if isinstance(size := sizes[path], str))
        reason = next(unreadable, "") or _unequal(pair, sizes, scale)
        if not reason and pair.side and _width(sizes[pair.input]) % 2:
            reason = f"two pictures side by side need an even width, but {pair.input} cannot be halved"
        if reason:
            reasons.append(reason)
            announce(f"{pair.name} is left out: {reason}")
        else:
            kept.append(pair)
    if not kept:
        raise UserError(f"none of the {len(pairs)} pairs can be used: {listed(reasons, ' | ')}")
    return kept


def read_pair(pair: Pair, scale: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a pair as floats.

    Args:
        pair: the files.
        scale: factor from the input's height and width to the target's.

    Returns:
        Input and target as `read_rgb` returns them, and the mask as `read_mask` returns it, or None.

    Raises:
        UserError: a file cannot be read, the sizes differ, or two halves have an odd width.
    """
    return _read(pair, read_rgb, scale)


def read_pair_uint8(pair: Pair) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a pair as bytes, as training keeps pictures.

    Returns:
        Input and target as uint8 [H, W, 3], and the mask as `read_mask` returns it, or None.

    Raises:
        UserError: as `read_pair`; or a file has more than 8 bits per channel.
    """
    return _read(pair, read_rgb_uint8)


def read_rgb(path: Path) -> np.ndarray:
    """Read a picture as float32 [H, W, 3], RGB 0..1.

    The file may have 8-bit, 16-bit or float samples. Gray is repeated in three channels, alpha is dropped.
    """
    values = _values(path)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)))


def read_mask(path: Path) -> np.ndarray:
    """Read a mask picture as bool [H, W].

    A pixel is true where any colour channel is above half of its range.
    """
    return np.any(_values(path) > 0.5, axis=2)


def natural_order(stem: str) -> tuple[int, int, str]:
    """Return a key that sorts numbers by value, before words."""
    return (0, int(stem), stem) if stem.isdecimal() else (1, 0, stem)


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """List the first names and count the others."""
    more = len(names) - _NAMED
    return separator.join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _read(
    pair: Pair, read: Callable[[Path], np.ndarray], scale: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    if pair.side:
        left, right = _halves(read(pair.input), pair)
        image, target = (left, right) if pair.side == "input-left" else (right, left)
    else:
        image, target = read(pair.input), read(pair.target)
    mask = read_mask(pair.mask) if pair.mask is not None else None
    shapes = [image.shape, target.shape] + ([mask.shape] if mask is not None else [])
    sizes = [f"{shape[1]}x{shape[0]}" for shape in shapes]
    if not _fit([shape[:2] for shape in shapes], scale):
        raise UserError(
            f"{_say_rule(scale)}, but the sizes in pair {pair.name} ({listed([*map(str, pair.files)])}) are "
            f"{', '.join(sizes)}: use matching files"
        )
    return image, target, mask


def _fit(sizes: Sequence[tuple[int, ...]], scale: int) -> bool:
    """Tell whether sizes are those of a pair.

    They are those of input, target and mask, if there is one.
    """
    (height, width), target, *mask = sizes
    return target == (scale * height, scale * width) and mask in ([], [(height, width)])


def _say_rule(scale: int) -> str:
    if scale == 1:
        return "the pictures of a pair must have one size"
    return f"the network enlarges pictures by {scale}, and the clean picture of a pair must be as much larger"


def _halves(whole: np.ndarray, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Cut a picture into its left and right half."""
    half, rest = divmod(whole.shape[1], 2)
    if rest:
        raise UserError(
            f"two pictures side by side need an even width, but {pair.input} is {whole.shape[1]} pixels wide: "
            "replace it"
        )
    return np.ascontiguousarray(whole[:, :half]), np.ascontiguousarray(whole[:, half:])


def read_rgb_uint8(path: Path) -> np.ndarray:
    """Read a picture as uint8 [H, W, 3] RGB.

    Gray is repeated in three channels, alpha is dropped.

    Raises:
        UserError: the file cannot be read or has more than 8 bits per channel.
    """
    pixels = read_image(path).pixels
    if pixels.dtype != np.uint8:
        raise UserError(f"{path} has {pixels.dtype} samples, expected 8 bits per channel: convert it")
    colours = pixels[:, :, :3] if pixels.shape[2] > 2 else pixels[:, :, :1]
    return np.array(np.broadcast_to(colours, (*colours.shape[:2], 3)))


def _values(path: Path) -> np.ndarray:
    """Read the colours of a file without alpha.

    Returns:
        float32 [H, W, 1 or 3], 0..1.
    """
    pixels = read_image(path).pixels
    colours = pixels[:, :, :3] if pixels.shape[2] > 2 else pixels[:, :, :1]
    if np.issubdtype(pixels.dtype, np.integer):
        return colours.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return colours.astype(np.float32)


def _by_stem(folder: Path, role: str) -> dict[str, Path]:
    """Find the pictures of a folder by stem."""
    if not folder.is_dir():
        raise UserError(f"the {role} folder {folder} is not a folder: give the folder that holds the {role} pictures")
    stems = defaultdict(list)
    for path in list_pictures(folder):
        stems[path.stem].append(path)
    if not stems:
        raise UserError(f"the {role} folder {folder} has no pictures: expected files {', '.join(READABLE_SUFFIXES)}")
    twice = [path.name for paths in stems.values() if len(paths) > 1 for path in paths]
    if twice:
        raise UserError(
            f"pictures pair by file stem, but the {role} folder {folder} has several files of one stem "
            f"({listed(twice)}): keep one of each"
        )
    return {stem: paths[0] for stem, paths in stems.items()}


def _check_paired(ours: dict[str, Path], theirs: dict[str, Path], our_folder: Path, their_folder: Path) -> None:
    """Check that each file of two folders has its partner."""
    lonely = [ours[stem].name for stem in ours if stem not in theirs]
    extra = [theirs[stem].name for stem in theirs if stem not in ours]
    complaints = [
        f"{listed(names)} of {folder} {'has' if len(names) == 1 else 'have'} no partner in {other}"
        for names, folder, other in ((lonely, our_folder, their_folder), (extra, their_folder, our_folder))
        if names
    ]
    if complaints:
        raise UserError(
            f"pictures pair by file stem, but {' and '.join(complaints)}: add or remove files to match them"
        )


def _sizes(paths: Sequence[Path], progress: CountProgress | None) -> list[tuple[int, int] | str]:
    """Decode files in parallel.

    Returns:
        For each file its width and height, or the reason why it cannot be read.
    """
    pool, sizes = ThreadPoolExecutor(_WORKERS), []
    try:
        for done, (path, size) in enumerate(zip(paths, pool.map(_size, paths), strict=True), 1):
            sizes.append(size)
            if progress is not None:
                progress(done, len(paths), path.name)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt must not wait for thousands of decodes
    return sizes


def _size(path: Path) -> tuple[int, int] | str:
    try:
        picture = read_image(path)
    except UserError as error:
        return str(error)
    return picture.width, picture.height


def _width(size: tuple[int, int] | str) -> int:
    return 0 if isinstance(size, str) else size[0]


def _unequal(pair: Pair, sizes: dict[Path, tuple[int, int] | str], scale: int = 1) -> str:
    """Describe the sizes of a pair that differs in size.

    Returns:
        A phrase for a message; empty for a pair of one size, and for unreadable files, which are reported separately.
    """
    known = {path: size for path in pair.files if not isinstance(size := sizes[path], str)}
    if pair.side and pair.input in known:
        width, height = known[pair.input]
        known[pair.input] = (width // 2, height)
    larger = {path: 1 if path == pair.target else scale for path in known}  # all in pixels of the clean picture
    if len({(larger[path] * width, larger[path] * height) for path, (width, height) in known.items()}) < 2:
        return ""
    half = "half of " if pair.side else ""
    return ", ".join(
        f"{half if path == pair.input else ''}{path} is {width}x{height}" for path, (width, height) in known.items()
    )
