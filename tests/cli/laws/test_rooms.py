"""Verbs share only what lies in `shared` and `pages`."""

import ast
from pathlib import Path

import pytest

CLI = Path(__file__).parents[3] / "cli"
SHARED = {"shared", "pages"}
MODULES = sorted(path for path in CLI.rglob("*.py") if path not in (CLI / "main.py", CLI / "__init__.py"))


def list_places(path: Path) -> set[str]:
    """Return the files and rooms of `cli/` that a module imports from outside of its own room."""
    depth, found = len(path.relative_to(CLI).parts), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:  # relative to cli/ itself
            found |= {node.module.partition(".")[0]} if node.module else {alias.name for alias in node.names}
    return found - {path.parent.name}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(CLI).as_posix())
def test_a_verb_imports_no_other_verb(path):
    own = {"shared"} if path.parent.name == "pages" else SHARED if path.parent.name != "shared" else set()
    assert list_places(path) <= own


def test_a_forbidden_import_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.CLI", tmp_path)
    (tmp_path / "verb.py").write_text("from .shared.output import x\ndef f():\n    from .other import command\n")
    assert list_places(tmp_path / "verb.py") == {"shared", "other"}
