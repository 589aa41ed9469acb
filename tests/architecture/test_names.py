"""Modules that strings and documents name exist, since no tool moves those names along."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.tree import PACKAGES, ROOT

DOTTED = re.compile(rf"(?<![\w./-])spair\.((?:{'|'.join(PACKAGES)})(?:\.\w+)*)")
SCRIPTS = [path for folder in (*PACKAGES, "benchmarks", "tests", "examples") for path in (ROOT / folder).rglob("*.py")]
PAGES = [path for path in ROOT.rglob("*.md") if not {".venv", "build", "demo"} & set(path.relative_to(ROOT).parts)]
MADE_UP = (
    "tests/test_architecture.py",
    "tests/architecture/test_names.py",
    "tests/plugins/compiler/kernels/test_sources.py",
)


def names_something(dotted: str) -> bool:
    """Whether runtime.tiling.geometry.Box leads to a module, or to a name that its module's text has."""
    words = dotted.split(".")
    for count in range(len(words), 0, -1):
        path = ROOT.joinpath(*words[:count])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path.is_dir() or file.is_file():
            rest = words[count:]
            data = bool(rest) and path.is_dir() and any(path.glob(f"{rest[0]}.*"))
            return not rest or data or re.search(rf"\b{rest[0]}\b", file.read_text(encoding="utf-8")) is not None
    return False


def list_strings(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every string of a script, docstrings included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_modules_named_in_strings_of_scripts_exist():
    lost = [
        f"{path.relative_to(ROOT)}, line {line}: spair.{found}"
        for path in SCRIPTS
        if path.relative_to(ROOT).as_posix() not in MADE_UP
        for line, text in list_strings(path.read_text(encoding="utf-8"))
        for found in DOTTED.findall(text)
        if not names_something(found)
    ]
    assert lost == []


def test_modules_named_in_documents_exist():
    lost = [
        f"{path.relative_to(ROOT)}: spair.{found}"
        for path in PAGES
        for found in DOTTED.findall(path.read_text(encoding="utf-8"))
        if not names_something(found)
    ]
    assert lost == []


@pytest.mark.parametrize(
    ("dotted", "exists"),
    [
        ("runtime.tiling.geometry", True),
        ("runtime.tiling.geometry.round_up", True),
        ("runtime.Restorer", True),
        ("network.weights", True),
        ("runtime.tiling.nowhere", False),
        ("runtime.tilings", False),
    ],
)
def test_names_are_looked_up_in_the_tree(dotted, exists):
    assert names_something(dotted) is exists
