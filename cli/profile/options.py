"""What `spair profile` is told on the command line, checked before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ...runtime.profiling.profile import ProfilePlan, Size
from ..shared.places import _refused

Item = TypeVar("Item")

MAX_THREADS = 1024

DEFAULT_SIZE = "1920x1080"


CHECK_SIZE = "480x270"
"""Small enough to be restored densely under every mask; a restorer usually keeps it in one piece."""


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
) -> ProfilePlan:
    """Read the options; without a size it is the picture's own.

    Raises:
        UserError: one of them is of another form than its help says.
    """
    from ...runtime.profiling.cases import RunSetting
    from ...runtime.profiling.timing import Effort

    sizes = [picture] if size is None else parse_sizes(size)
    checks = parse_sizes(check_size, "--check-size")
    if len(checks) > 1:
        raise _refused(f"--check-size is {check_size!r}, expected one size, as {CHECK_SIZE}")
    kinds, counts = parse_precisions(precision), parse_threads(threads)
    return ProfilePlan(
        sizes=tuple(sizes),
        check_size=Size(
            min(checks[0].width, max(one.width for one in sizes)),
            min(checks[0].height, max(one.height for one in sizes)),
        ),
        densities=tuple(parse_densities(densities)),
        shapes=tuple(parse_masks(masks)),
        settings=tuple(RunSetting(kind, count, tile) for kind in kinds for count in counts),
        effort=Effort() if repeat is None else Effort.exactly(repeat),
    )


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
