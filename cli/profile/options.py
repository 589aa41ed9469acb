"""Options of `spair profile`, checked before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ..shared.names import read_model
from ..shared.options import MODEL, OUTPUT
from ..shared.sizes import parse_size

if TYPE_CHECKING:
    from ...runtime.profiling.cases import Dial
    from ...runtime.profiling.profile import ProfilePlan, Size

Item = TypeVar("Item")

MAX_THREADS = 1024
"""Largest number of CPU threads that is accepted."""

DEFAULT_SIZE = "1920x1080"
"""Width and height in pixels of the default picture."""

CHECK_SIZE = "480x270"
"""Width and height in pixels of the part on which dense, packed and adaptive are compared.

It is small enough to be restored densely under every mask, and a restorer usually keeps it in one piece.
"""

CASES = "Cases"
"""Panel of the help that this verb alone has."""

Bundle = Annotated[
    Path,
    typer.Argument(
        parser=read_model, metavar="MODEL", help="A bundle (folder NAME.spair), or the name of shipped weights."
    ),
]
Sizes = Annotated[
    str | None,
    typer.Option(
        metavar="SIZES",
        help=f"WIDTHxHEIGHT, one or several; {DEFAULT_SIZE}, or the size of --image.",
        rich_help_panel=CASES,
    ),
]
Densities = Annotated[
    str, typer.Option(metavar="FRACTIONS", help="Shares of distorted pixels, 0 to 1.", rich_help_panel=CASES)
]
Masks = Annotated[
    str,
    typer.Option(
        metavar="SHAPES", help="Shapes of the made masks: streak, blob, shadow, uniform.", rich_help_panel=CASES
    ),
]
Precisions = Annotated[
    str,
    typer.Option(metavar="PRECISIONS", help="fp32, or others that the bundle has graphs for.", rich_help_panel=MODEL),
]
ThreadCounts = Annotated[
    str | None,
    typer.Option(
        metavar="COUNTS",
        help="CPU threads, one number or several; all cores when left out (tensorrt: pictures at a time; 2).",
        rich_help_panel=MODEL,
    ),
]
Repeat = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="COUNT",
        help="Timed runs of each case; up to 5, fewer of long ones, when left out.",
        rich_help_panel=CASES,
    ),
]
Image = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The picture, cut or mirrored to --size; else a photo in light rain.",
        rich_help_panel=CASES,
    ),
]
CheckSize = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="Part of the picture on which dense, packed and adaptive are compared.",
        rich_help_panel=CASES,
    ),
]
LayersToo = Annotated[
    bool, typer.Option("--layers/--no-layers", help="Profile the layers of each graph too.", rich_help_panel=CASES)
]
PowerToo = Annotated[
    bool,
    typer.Option("--power/--no-power", help="Measure joules too, where a meter can be read.", rich_help_panel=CASES),
]
NoStore = Annotated[
    bool, typer.Option("--no-store", help="Do not store this machine's tuning.", rich_help_panel=OUTPUT)
]
Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write a self-contained page with plots.", rich_help_panel=OUTPUT),
]


def parse_sizes(text: str, option: str = "--size") -> list[Size]:
    """Parse "1920x1080,640x480" into sizes, each once.

    Raises:
        UserError: see `parse_size`.
    """
    from ...runtime.profiling.profile import Size

    return _split(option, text, lambda word: Size(*parse_size(option, word)))


def parse_densities(text: str) -> list[float]:
    """Parse "0.02,0.1" into densities in ascending order, each once.

    Raises:
        UserError: an item is not a number from 0 to 1.
    """
    return sorted(_split("--densities", text, _parse_density))


def parse_masks(text: str) -> list[str]:
    """Parse "streak,blob" into shapes of made masks, each once.

    Raises:
        UserError: an item is not the name of a shape.
    """
    return _split("--masks", text, _parse_mask)


def parse_precisions(text: str) -> list[str]:
    """Parse "fp32,fp16" into precisions, each once.

    The bundle says later whether it has them.

    Raises:
        UserError: an item is empty.
    """
    return _split("--precision", text, lambda word: word)


def parse_threads(text: str | None) -> list[int | None]:
    """Parse "1,2" into numbers of threads, each once.

    No text gives [None], which is all cores.

    Raises:
        UserError: an item is not a number from 1 to MAX_THREADS.
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
    dial: Dial | None = None,
) -> ProfilePlan:
    """Make a plan of the options.

    Without a size the picture keeps its own.

    Raises:
        UserError: an option has another form than its help says.
    """
    from ...runtime.errors import UserError
    from ...runtime.profiling.cases import RunSetting
    from ...runtime.profiling.profile import ProfilePlan, Size
    from ...runtime.profiling.timing import Effort

    sizes = [picture] if size is None else parse_sizes(size)
    checks = parse_sizes(check_size, "--check-size")
    if len(checks) > 1:
        raise UserError(f"--check-size is {check_size!r}, expected one size, as {CHECK_SIZE}")
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
        dial=dial,
    )


def _split(option: str, text: str, parse: Callable[[str], Item]) -> list[Item]:
    from ...runtime.errors import UserError

    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UserError(f"{option} is {text!r}, expected one value, or several with commas between them")
    return list(dict.fromkeys(parse(word) for word in words))


def _parse_density(word: str) -> float:
    from ...runtime.errors import UserError

    try:
        density = float(word)
    except ValueError:
        raise UserError(
            f"the density {word!r} is not a number; give shares from 0 to 1, as --densities 0.02,0.1"
        ) from None
    if not 0.0 <= density <= 1.0:  # NaN is outside too
        raise UserError(f"the density {word} is outside of 0 to 1; 10 % is 0.1")
    return density


def _parse_mask(word: str) -> str:
    from ...runtime.errors import UserError
    from ...runtime.profiling.masks import SHAPES

    if word not in SHAPES:
        raise UserError(f"there is no mask of shape {word!r}; choose --masks from {', '.join(SHAPES)}")
    return word


def _parse_threads(word: str) -> int:
    from ...runtime.errors import UserError

    if not (word.isascii() and word.isdigit() and len(word) < 10 and 1 <= int(word) <= MAX_THREADS):
        raise UserError(
            f"--threads has {word!r}, expected whole numbers from 1 to {MAX_THREADS}; give for example --threads 2"
        )
    return int(word)
