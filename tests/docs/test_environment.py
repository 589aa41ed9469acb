"""The environment page names exactly the variables that are read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "environment.md"
FOLDERS = (
    "network",
    "training",
    "export",
    "plugins",
    "calibration",
    "runtime",
    "serving",
    "cli",
    "benchmarks",
    "tests",
)
RUNNERS = ("PYTEST_",)
"""Beginnings of names that pytest and its plugins set for themselves, which nobody who runs the tests sets."""
READERS = ("get", "getenv", "pop", "setdefault")


def list_variables(source: str) -> set[str]:
    """Return the names that a module reads from the environment.

    Constants of the module are followed. The environment is recognised by its name: anything called environ or
    environment, and `os.getenv`.
    """
    tree = ast.parse(source)
    constants = _read_constants(tree)
    found = set()
    for node in ast.walk(tree):
        key: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            owner = ast.unparse(node.func.value)
            if node.func.attr in READERS and (_is_environment(owner) or node.func.attr == "getenv"):
                key = node.args[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            key = node.slice if _is_environment(ast.unparse(node.value)) else None
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            key = node.left if _is_environment(ast.unparse(node.comparators[0])) else None
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            found.add(key.value)
        elif isinstance(key, ast.Name) and key.id in constants:
            found.add(constants[key.id])
    return found


def _is_environment(owner: str) -> bool:
    return owner.rpartition(".")[2] in ("environ", "environment")


def _read_constants(tree: ast.Module) -> dict[str, str]:
    constants: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        for name, text in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                constants[name.id] = text.value
    return constants


def read_page(page: str) -> set[str]:
    """Return the variables of the page's tables."""
    return set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", page, re.MULTILINE))


def test_the_page_names_exactly_the_variables_that_are_read():
    here = Path(__file__).resolve()
    sources = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path != here)
    read = set().union(*(list_variables(path.read_text(encoding="utf-8")) for path in sources))
    for path in (ROOT / "training" / "configs").glob("*.toml"):
        read |= set(re.findall(r"\$\{([A-Z][A-Z0-9_]+)\}", path.read_text(encoding="utf-8")))
    read = {name for name in read if not name.startswith(RUNNERS)}
    assert read == read_page(PAGE.read_text(encoding="utf-8"))


# The reader itself, on made-up sources


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ.get('A_B')",
        "import os\nos.environ['A_B']",
        "import os\nos.getenv('A_B', '')",
        "import os\nfound = 'A_B' in os.environ",
        "import os\nNAME = 'A_B'\ndef f():\n    return os.environ.get(NAME)",
        "import os\nNAME, OTHER = 'A_B', 'C'\nos.environ[NAME]",
        "def f(environment):\n    return environment.get('A_B')",
    ],
)
def test_reading_is_found(source):
    assert list_variables(source) == {"A_B"}


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A_B'] = '1'",
        "import os\nchild = {**os.environ, 'A_B': '1'}",
        "settings = {}\nsettings.get('A_B')",
        "import os\nos.environ.items()",
    ],
)
def test_writing_and_other_tables_are_no_reading(source):
    assert list_variables(source) == set()
