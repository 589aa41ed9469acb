"""Texts of files are made visible in one place."""

import ast
import shutil

import pytest

from spair.runtime import Bundle
from spair.runtime.images import Picture, write_image
from tests.architecture.tree import read_modules
from tests.runtime.bundle.samples import edit
from tests.runtime.samples import photo

PLACE = "cli/shared/output"
NASTY = "[red]x[/]\x1b[31m\x07"
SHOWN = r"[red]x[/]\x1b[31m\x07"
PRINTERS = {"print", "Console", "typer.echo", "typer.secho", "rich.print", "click.echo"}
PRINTERS |= {"sys.stdout.write", "sys.stderr.write"}
OWN_WORDS = {"typer.echo(ctx.get_help(), err=True)", "typer.echo(f\"spair {importlib.metadata.version('spair-rt')}\")"}
OWN_WORDS |= {"sys.stderr.write('interrupted\\n')"}
"""Calls that print nothing but the words of the toolkit itself, over several lines."""
MARKUP = {"escape", "from_markup", "render_markup"}


def find_printers(tree):
    """Calls that print, and calls that treat text as markup."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTERS and ast.unparse(node) not in OWN_WORDS:
            yield ast.unparse(node)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rich"):
            yield from (alias.name for alias in node.names if alias.name in MARKUP)
        if isinstance(node, ast.Attribute) and node.attr in MARKUP - {"escape"}:
            yield ast.unparse(node)


CLI = {name: module for name, module in read_modules().items() if name.startswith("cli/") and name != PLACE}


@pytest.mark.parametrize("name", CLI)
def test_a_verb_prints_through_the_one_place(name):
    assert list(find_printers(CLI[name].tree)) == []


@pytest.mark.parametrize(
    "source", ["print(x)", "Console().print(x)", "typer.echo(x)", "from rich.markup import escape"]
)
def test_another_way_to_print_is_found(source):
    assert len(list(find_printers(ast.parse(source)))) == 1


def test_inspect_shows_what_a_manifest_says_as_it_is(spair, bundle, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    opened = Bundle.open(bundle)
    edit(opened, task=NASTY, preset=NASTY, parity={**opened.manifest.raw["parity"], "cases": NASTY})
    out = spair("inspect", bundle).out
    assert ["task", SHOWN] in [line.split() for line in out.splitlines()]
    assert f"cases {SHOWN}" in out and "\x1b" not in out and "\x07" not in out


def test_errors_about_a_file_show_its_name_as_it_is(spair, tmp_path):
    path = tmp_path / f"{NASTY.replace('/', '')}\n.spair"
    path.mkdir()
    done = spair("inspect", path)
    done.refused("has no manifest")
    assert r"[red]x[]\x1b[31m\x07" in done.err and "\x1b" not in done.err


def test_names_of_pictures_are_shown_as_they_are_in_tables_and_failures(spair, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    folder = tmp_path / "in"
    folder.mkdir()
    write_image(folder / "a.png", Picture((photo(16, 16) * 255).astype("uint8")))
    shutil.move(folder / "a.png", folder / "[red]\x1b[1m.png")
    (folder / "[blue]\x1b[2m.png").write_bytes(b"no picture")
    done = spair("restore", tiny_bundle, folder, "--out", tmp_path / "out")
    assert done.code == 1
    assert r"[red]\x1b[1m.png" in done.out and r"[blue]\x1b[2m.png" in done.err
    assert "\x1b" not in done.out + done.err
