"""What `spair profile` is told on the command line, checked before anything is measured."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from ...runtime.profiling.cases import Setting
    from ...runtime.profiling.timing import Effort

Item = TypeVar("Item")

MAX_THREADS = 1024

DEFAULT_SIZE = "1920x1080"


CHECK_SIZE = "480x270"
"""Small enough to be restored densely under every mask; a restorer usually keeps it in one piece."""


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    sizes: tuple[Size, ...]
    check_size: Size
    """Of the part of the picture on which the ways are compared; at most as large as the largest size."""
    densities: tuple[float, ...]
    """Ascending."""
    shapes: tuple[str, ...]
    settings: tuple[Setting, ...]
    """Every precision with every number of threads."""
    effort: Effort


def parse_sizes(text: str, option: str = "--size") -> list[Size]:
    """ "1920x1080,640x480" -> sizes, each once.

    Raises:
        UserError: another form, a side below 1, or more pixels than a picture file may have.
    """
    return _split(option, text, partial(_parse_size, option))


def parse_densities(text: str) -> list[float]:
    """ "0.02,0.1" -> densities in ascending order, each once.

    Raises:
        UserError: something that is no number from 0 to 1.
    """
    return sorted(_split("--densities", text, _parse_density))


def parse_masks(text: str) -> list[str]:
    """ "streak,blob" -> shapes of made masks, each once.

    Raises:
        UserError: a shape there is none of.
    """
    return _split("--masks", text, _parse_mask)


def parse_precisions(text: str) -> list[str]:
    """ "fp32,fp16" -> precisions, each once; whether a bundle has them is its own word.

    Raises:
        UserError: nothing between two commas.
    """
    return _split("--precision", text, lambda word: word)


def parse_threads(text: str | None) -> list[int | None]:
    """ "1,2" -> numbers of threads, each once; None, all cores, where there is no text.

    Raises:
        UserError: something that is no number from 1 to MAX_THREADS.
    """
    return [None] if text is None else list(_split("--threads", text, _parse_threads))


def make_plan(
    *,
    size: str | None,
    check_size: str,
    densities: str,
    masks: str,
    precision: str,
    threads: str | None,
    tile: int | None,
    repeat: int | None,
    picture: Size,
) -> Plan:
    """Read the options; without a size it is the picture's own.

    Raises:
        UserError: one of them is of another form than its help says.
    """
    from ...runtime.profiling.cases import Setting
    from ...runtime.profiling.timing import Effort

    sizes = [picture] if size is None else parse_sizes(size)
    checks = parse_sizes(check_size, "--check-size")
    if len(checks) > 1:
        raise _refused(f"--check-size is {check_size!r}, expected one size, as {CHECK_SIZE}")
    kinds, counts = parse_precisions(precision), parse_threads(threads)
    return Plan(
        sizes=tuple(sizes),
        check_size=Size(
            min(checks[0].width, max(one.width for one in sizes)),
            min(checks[0].height, max(one.height for one in sizes)),
        ),
        densities=tuple(parse_densities(densities)),
        shapes=tuple(parse_masks(masks)),
        settings=tuple(Setting(kind, count, tile) for kind in kinds for count in counts),
        effort=Effort() if repeat is None else Effort.exactly(repeat),
    )


def check_page(target: Path | None) -> None:
    """Refuse a file that could not be written; nothing is created.

    Raises:
        UserError: it is a folder; its own folder does not exist or may not be written.
            A write-protected file is no obstacle: it is replaced.
    """
    if target is None:
        return
    folder = target.absolute().parent
    if target.is_dir():
        raise _refused(f"cannot write {target}: it is a folder; give the name of a file with --html")
    if not folder.is_dir():
        raise _refused(f"cannot write {target}: there is no folder {folder}; make it, or choose another --html")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(f"cannot write {target}: the folder {folder} is not writable; choose another --html")


def check_cache() -> None:
    """Refuse a cache folder that could not be written, before seconds are spent on what it is for; makes the folder.

    Raises:
        UserError: it cannot be made or written.
    """
    from ...runtime.tuning import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refused(
            f"cannot keep this machine's tuning in {folder}: {error}; "
            "set SPAIR_CACHE to a folder that can be written, or give --no-store"
        ) from error


def fit(pixels: np.ndarray, size: Size) -> np.ndarray:
    """[H, W, C] -> [height, width, C]: the middle of what is larger; what is smaller goes on as its mirror image.

    Nothing is scaled: distortion keeps its size in pixels, which is what the times depend on.
    """
    import numpy as np

    cut = [slice((have - want) // 2, (have - want) // 2 + want) if have > want else slice(None)
           for have, want in zip(pixels.shape, (size.height, size.width), strict=False)]  # fmt: skip
    middle = pixels[cut[0], cut[1]]
    missing = [(0, want - have) for have, want in zip(middle.shape, (size.height, size.width), strict=False)]
    return np.ascontiguousarray(np.pad(middle, (*missing, (0, 0)), mode="symmetric"))


def _refused(sentence: str) -> Exception:
    from ...runtime.errors import UserError

    return UserError(sentence)


def _split(option: str, text: str, parse: Callable[[str], Item]) -> list[Item]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise _refused(f"{option} is {text!r}, expected one value, or several with commas between them")
    return list(dict.fromkeys(parse(word) for word in words))


def _parse_size(option: str, word: str) -> Size:
    from ...runtime.images import MAX_PIXELS

    sides = word.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and 0 < len(side) < 10 for side in sides):
        raise _refused(f"the size {word!r} is not WIDTHxHEIGHT in pixels; give for example {option} 1920x1080")
    size = Size(*map(int, sides))
    if not 0 < size.width * size.height <= MAX_PIXELS:
        raise _refused(f"the size {word} has {size.width * size.height} pixels, expected 1 to {MAX_PIXELS}")
    return size


def _parse_density(word: str) -> float:
    try:
        density = float(word)
    except ValueError:
        raise _refused(f"the density {word!r} is no number; give shares from 0 to 1, as --densities 0.02,0.1") from None
    if not 0.0 <= density <= 1.0:  # NaN is outside too
        raise _refused(f"the density {word} is outside of 0 to 1; 10 % is 0.1")
    return density


def _parse_mask(word: str) -> str:
    from ...runtime.profiling.masks import SHAPES

    if word not in SHAPES:
        raise _refused(f"there is no mask of shape {word!r}; choose --masks from {', '.join(SHAPES)}")
    return word


def _parse_threads(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 10 and 1 <= int(word) <= MAX_THREADS):
        raise _refused(f"the number of threads {word!r} is none from 1 to {MAX_THREADS}; give for example --threads 2")
    return int(word)
