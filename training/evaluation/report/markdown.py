"""Markdown pieces that the reports of evaluations share."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

DASH = "–"
"""Text of a cell without a value."""

COSTS = {
    "parameters": ("parameters", 0),
    "multiply_adds": ("multiply-adds a pixel", 0),
    "multiply_adds_dense": ("if all were distorted", 0),
    "ms": ("ms", 1),
    "processor_ms": ("processor ms", 1),
}
"""Title and digits of each entry of a model's "cost"."""

COST_WORDS = (
    "Multiply-adds are those of convolutions and matrix products for a pixel of the picture, at the masks that were "
    "found. Milliseconds are medians over the pictures: by the clock, which other work on the machine makes longer, "
    "and those that all threads of the processor computed."
)
"""Explanation of the costs, for reports."""


def render_costs(report: Mapping[str, Any]) -> list[str]:
    """Write the cells of `COSTS`.

    A report without "cost", such as that of the inputs, has dashes.
    """
    cost = report.get("cost", {})
    return [DASH if cost.get(key) is None else f"{cost[key]:,.{digits}f}" for key, (_, digits) in COSTS.items()]


def render_table(rows: Sequence[Sequence[str]]) -> str:
    """Render rows of cells as a table.

    The first row is the head. Numbers stand to the right.
    """
    rule = [":--", *["--:"] * (len(rows[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def render_gallery(
    images: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, str],
    rank: Callable[[Mapping[str, Any]], float],
    words: tuple[str, str, str],
    noun: str,
) -> list[str]:
    """Render the montages of three pictures.

    They are the pictures that rank lowest, in the middle and highest, each shown once. Without montages the list is
    empty.

    Args:
        images: rows of the report.
        pictures: name of a row -> path of its montage; rows without a montage are passed over.
        rank: number by which rows are sorted.
        words: names of the lowest, the middle and the highest.
        noun: end of the caption: "least" and "gained" make "Least gained".
    """
    shown = sorted((image for image in images if image["name"] in pictures), key=rank)
    if not shown:
        return []
    captions: dict[str, list[str]] = {}
    for word, image in zip(words, (shown[0], shown[(len(shown) - 1) // 2], shown[-1]), strict=True):
        captions.setdefault(image["name"], []).append(word)
    links = [
        f"{', '.join(own).capitalize()} {noun}: {escape_text(name)}\n\n"
        f"![{escape_text(name)}]({quote_path(pictures[name])})"
        for name, own in captions.items()
    ]
    return ["## Pictures", *links]


def link_name(name: str, pictures: Mapping[str, str]) -> str:
    """Render a picture's name with a link to its montage.

    A picture without a montage has no link.
    """
    return f"[{escape_text(name)}]({quote_path(pictures[name])})" if name in pictures else escape_text(name)


def label_models(paths: Sequence[str]) -> list[str]:
    """Shorten the paths of models to labels.

    A label is the file's name with as many of its folders as tell it from the others.
    """
    parts = [Path(path).parts or (path,) for path in paths]
    labels = []
    for own in parts:
        others = [other for other in parts if other != own]
        length = next((n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own))
        labels.append("/".join(own[-length:]))
    return labels


def count_pictures(count: int) -> str:
    """Write a number of pictures, as "2 pictures"."""
    return "1 picture" if count == 1 else f"{count} pictures"


def list_chosen(report: Mapping[str, Any]) -> list[str]:
    """Write a sentence about pictures that were chosen by name.

    The names are in `only` of the report; the list is empty where all pictures were measured.
    """
    only = report.get("only")
    return [f"Only these of the pictures found were measured: `--only {','.join(only)}`."] if only else []


def format_number(value: float | None, digits: int) -> str:
    """Write a number, or a dash for None."""
    return DASH if value is None else f"{value:.{digits}f}"


def format_percent(share: float | None, digits: int = 1) -> str:
    """Write a share in percent, or a dash for None.

    The share is 0..1.
    """
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def escape_text(text: str) -> str:
    """Escape text for Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]|<>" else letter for letter in " ".join(text.split()))


def quote_path(path: str) -> str:
    """Quote a path for the target of a link."""
    return quote(path)
