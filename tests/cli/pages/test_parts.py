"""Parts of pages escape their texts, and all pages have one style."""

import importlib.resources

import pytest

from spair.cli.pages.parts import render_head, render_items, render_page, render_rows, render_table, render_tile

EVIL = "<b>&$title"
PAGES = importlib.resources.files("spair.cli.pages")
STYLE = (PAGES / "style.css").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "html",
    [
        render_tile(EVIL, EVIL, EVIL),
        render_head([EVIL]),
        render_rows([[EVIL, EVIL]]),
        render_table([EVIL], [[EVIL, EVIL]]),
        render_items([EVIL]),
    ],
)
def test_texts_are_escaped(html):
    assert "<b>" not in html and "&lt;b&gt;&amp;$title" in html


def test_a_table_has_a_heading_for_each_column_and_row():
    table = render_table(("a", "b"), [("x", "1"), ("y", "2")], "numbers")
    assert table.count('scope="col"') == table.count('scope="row"') == 2 and table.count("<td>") == 2
    assert 'class="scroll numbers"' in table


@pytest.mark.parametrize("name", sorted(page.name for page in PAGES.iterdir() if page.name.endswith(".html")))
def test_every_page_takes_the_shared_style_and_has_none_of_its_own(name):
    source = (PAGES / name).read_text(encoding="utf-8")
    assert source.count("<style>") == 1 and "<style>$style</style>" in source


def test_a_page_holds_the_style_itself(monkeypatch):
    monkeypatch.setattr("spair.cli.pages.parts._read", lambda name: STYLE if name == "style.css" else "[$style|$more]")
    assert render_page("any.html", more=EVIL) == f"[\n{STYLE}|{EVIL}]"


def test_the_style_loads_nothing_and_knows_dark_rooms_and_phones():
    assert "url(" not in STYLE and "@import" not in STYLE
    assert "prefers-color-scheme: dark" in STYLE and "max-width: 760px" in STYLE
