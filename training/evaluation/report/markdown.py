"""Pieces of Markdown that the reports of an evaluation share."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

DASH = "–"


def render_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the head first; numbers to the right."""
    rule = [":--", *["--:"] * (len(rows[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def render_gallery(
    images: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, str],
    rank: Callable[[Mapping[str, Any]], float],
    words: tuple[str, str, str],
    what: str,
) -> list[str]:
    """The montages of the pictures that rank lowest, in the middle and highest, each once; nothing without any.

    Args:
        images: the report's rows.
        pictures: name of a row -> path of its montage; rows without one are passed over.
        rank: the number by which rows are sorted.
        words: what the lowest, the middle and the highest are called.
        what: the end of that caption: "least" and "gained" make "Least gained".
    """
    shown = sorted((image for image in images if image["name"] in pictures), key=rank)
    if not shown:
        return []
    captions: dict[str, list[str]] = {}
    for word, image in zip(words, (shown[0], shown[(len(shown) - 1) // 2], shown[-1]), strict=True):
        captions.setdefault(image["name"], []).append(word)
    links = [
        f"{', '.join(own).capitalize()} {what}: {escape_text(name)}\n\n"
        f"![{escape_text(name)}]({quote_path(pictures[name])})"
        for name, own in captions.items()
    ]
    return ["## Pictures", *links]


def link_name(name: str, pictures: Mapping[str, str]) -> str:
    """The name of a picture, linked to its montage if there is one."""
    return f"[{escape_text(name)}]({quote_path(pictures[name])})" if name in pictures else escape_text(name)


def label_models(paths: Sequence[str]) -> list[str]:
    """Short names of models: the file's, with as many of its folders as tell it from the others."""
    parts = [Path(path).parts or (path,) for path in paths]
    labels = []
    for own in parts:
        others = [other for other in parts if other != own]
        length = next((n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own))
        labels.append("/".join(own[-length:]))
    return labels


def count_pictures(count: int) -> str:
    """ "1 picture", "2 pictures"."""
    return "1 picture" if count == 1 else f"{count} pictures"


def list_chosen(report: Mapping[str, Any]) -> list[str]:
    """Which pictures were chosen by name (`only` of the report): one sentence, none where all were measured."""
    only = report.get("only")
    return [f"Of the pictures found only these were measured: `--only {','.join(only)}`."] if only else []


def format_number(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return DASH if value is None else f"{value:.{digits}f}"


def format_percent(share: float | None, digits: int = 1) -> str:
    """A share 0..1 in percent, or a dash where there is none."""
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def escape_text(text: str) -> str:
    """Text that Markdown takes as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]|<>" else letter for letter in " ".join(text.split()))


def quote_path(path: str) -> str:
    """A path as the target of a link."""
    return quote(path)
