"""One mechanism names temporary files, so that each of them has an owner and is found again."""

import ast
import re

import pytest

from tests.architecture.tree import PACKAGES, ROOT

NAMED = {"mkdtemp", "mkstemp", "mktemp", "NamedTemporaryFile", "TemporaryDirectory", "SpooledTemporaryFile"}
"""Makers of names without an owner; an unnamed `TemporaryFile` leaves nothing behind."""
NAMES = re.compile(r"\.(?:tmp|temp|part|partial|old|bak)$")

WORDS = re.compile(rf"{'|'.join(NAMED)}|\.(?:tmp|temp|part|partial|old|bak)[\"']")
"""Text that only such a module has; parsing all would take seconds."""


def find_others(tree: ast.Module) -> list[int]:
    """Return the lines that name temporary files in another way."""
    lines = []
    for node in ast.walk(tree):
        word = getattr(node, "attr", getattr(node, "id", None))
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        is_name = isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMES.search(node.value)
        if word in NAMED or NAMED & set(names) or is_name:
            lines.append(node.lineno)
    return lines


def test_no_module_names_temporary_files_in_another_way():
    others = {}
    for path in (path for name in PACKAGES if name != "temporary" for path in (ROOT / name).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if WORDS.search(text) and (lines := find_others(ast.parse(text))):
            others[str(path.relative_to(ROOT))] = lines
    assert others == {}


@pytest.mark.parametrize(
    "source",
    [
        "import tempfile\ntempfile.mkdtemp()",
        "from tempfile import NamedTemporaryFile",
        'path.with_suffix(f".{number}.tmp")',
        'path.with_name(f".{path.name}.part")',
    ],
)
def test_other_ways_are_found(source):
    assert find_others(ast.parse(source))


def test_an_unnamed_file_is_none():
    assert find_others(ast.parse("import tempfile\ntempfile.TemporaryFile()")) == []
