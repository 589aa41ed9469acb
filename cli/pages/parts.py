"""Parts that all pages share, as HTML.

A page is one file: its style is in it, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Sequence
from html import escape
from string import Template


def render_page(template: str, **values: str) -> str:
    """Fill a template of this folder.

    Args:
        template: name of the file; its `$style` becomes the shared style.css.
        values: HTML for each of its other names; texts in it must be escaped.
    """
    return Template(_read(template)).substitute(style=f"\n{_read('style.css')}", **values)


def render_tile(title: str, value: str, words: str) -> str:
    """Render a box with one large value.

    The texts are escaped here.
    """
    return f'<div class="tile"><h3>{escape(title)}</h3><p class="big">{escape(value)}</p><p>{escape(words)}</p></div>'


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Render a table that scrolls sideways.

    The texts are escaped here.

    Args:
        head: titles of the columns.
        rows: cells; the first of a row is its heading.
        kind: class for the style; "numbers" aligns the second column to the right.
    """
    return (
        f'<div class="scroll {kind}" tabindex="0"><table>{render_head(head)}\n'
        f"<tbody>{render_rows(rows)}</tbody></table></div>"
    )


def render_head(titles: Iterable[str]) -> str:
    """Render the head of a table.

    The texts are escaped here.
    """
    cells = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    return f"<thead><tr>{cells}</tr></thead>"


def render_rows(rows: Iterable[Sequence[str]]) -> str:
    """Render the rows of a table's body.

    The first cell of a row is its heading. The texts are escaped here.
    """
    return "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )


def render_items(lines: Iterable[str]) -> str:
    """Render the items of a list.

    The texts are escaped here.
    """
    return "\n".join(f"<li>{escape(' '.join(line.split()))}</li>" for line in lines)


def _read(name: str) -> str:
    return (importlib.resources.files("spair.cli.pages") / name).read_text(encoding="utf-8")
