"""The architecture page names exactly the rooms of the packages."""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read_rooms(page: str) -> set[str]:
    """Return the folders in code spans of the section Rooms."""
    section = page.partition("\n## Rooms\n")[2].partition("\n## ")[0]
    return set(re.findall(r"`([a-z_0-9]+(?:/[a-z_0-9]+)+)/`", section))


def list_rooms() -> set[str]:
    """Return the package folders below the root folders."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    folders = [line.split(" = ")[1] for line in config["options"]["package_dir"].split("\n") if line]
    inits = (path for folder in folders for path in (ROOT / folder).rglob("__init__.py"))
    return {path.parent.relative_to(ROOT).as_posix() for path in inits} - set(folders)


def test_the_table_names_exactly_the_rooms_that_there_are():
    assert read_rooms((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")) == list_rooms()


def test_rooms_are_read_from_their_section_alone():
    page = "# x\n`a/b/`\n## Rooms\n| `c/d/`, `c/d/e/` | x | `f.py` `g/` |\n## Next\n`h/i/`\n"
    assert read_rooms(page) == {"c/d", "c/d/e"}
