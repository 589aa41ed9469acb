"""Extras that pages and messages name exist."""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("network", "training", "export", "plugins", "calibration", "runtime", "serving", "cli")


def read_extras() -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return set(config["options.extras_require"])


def list_named(text: str) -> set[str]:
    """Return the extras in spair-rt[a,b] and '.[a,b]'."""
    return {name for names in re.findall(r"(?:spair-rt|'\.)\[([a-z,]+)\]", text) for name in names.split(",")}


def test_the_glossary_lists_all_extras():
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    row = re.search(r"^\| extra \| [^|]+: (.+?)\. \|$", page, re.MULTILINE)
    assert row is not None
    assert set(re.findall(r"`([a-z]+)`", row[1])) == read_extras()


def test_extras_in_documents_and_messages_exist():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    sources = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    named = {path: list_named(path.read_text(encoding="utf-8")) for path in (*documents, *sources)}
    assert {"tensorrt", "cuda"} <= set().union(*named.values())
    assert {path.name: names - read_extras() for path, names in named.items() if names - read_extras()} == {}


def test_extras_are_read_in_both_spellings():
    assert list_named("pip install 'spair-rt[a,b]' or '.[c]' but no x[0]") == {"a", "b", "c"}
