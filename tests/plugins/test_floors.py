"""Modules of the plugins import only from floors below their own, and the floors hold every module."""

import ast
from pathlib import Path

import pytest

from tests.test_architecture import list_imports

ROOT = Path(__file__).resolve().parents[2] / "plugins"
FLOORS = (
    ("errors", "layouts", "cost"),
    ("compaction",),
    ("masked_modulation", "sparse_conv2d", "sparse_non_local", "native"),
    ("compiler.targets", "compiler.cache"),
    ("compiler.tools",),
    ("compiler.kernels",),
    ("compiler.library",),
    ("compiler.report",),
    ("compiler.build",),
)
"""Rooms and modules from the ground up. Modules of one room may import each other, rooms of one floor may not."""
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")


def name_module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def find_room(module: str) -> tuple[int, str] | None:
    """Return floor and room of a module below `spair.plugins`, or None."""
    for floor, rooms in enumerate(FLOORS):
        for room in rooms:
            if module == room or module.startswith(f"{room}."):
                return floor, room
    return None


def check_floors(source: str, module: str) -> list[str]:
    """Return one sentence for each import of a room that is not below the module's own."""
    own = find_room(module)
    assert own is not None
    problems = []
    for line, name, _ in list_imports(ast.parse(source), f"spair.plugins.{module}".rpartition(".")[0]):
        if not name.startswith("spair.plugins."):
            continue
        other = find_room(name.removeprefix("spair.plugins."))
        if other is None or (other != own and other[0] >= own[0]):
            problems.append(f"{module}, line {line}: {own[1]} may not import {name}")
    return problems


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_modules_import_only_from_floors_below(path):
    assert find_room(name_module(path)) is not None, "no floor has this module"
    assert check_floors(path.read_text(encoding="utf-8"), name_module(path)) == []


# The checker itself, on made-up sources


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sparse_conv2d.cost", "from ..compaction.cost import count_compaction\nfrom ..cost import Launch"),
        ("compiler.kernels.kernel", "from .variants import Variant\nfrom ...cost import NumberType"),
        ("compiler.build", "import numpy\nfrom .library.linking import build_library"),
    ],
)
def test_imports_from_below_pass(module, source):
    assert check_floors(source, module) == []


@pytest.mark.parametrize(
    ("module", "source", "name"),
    [
        ("cost", "from .sparse_conv2d.cost import count_sparse_conv2d", "sparse_conv2d.cost.count_sparse_conv2d"),
        ("sparse_conv2d.cost", "from ..sparse_non_local import cost", "sparse_non_local.cost"),
        ("sparse_conv2d.kernel", "def f():\n    from ..compiler.targets import Target", "compiler.targets.Target"),
        ("compiler.kernels.tiles", "from ..library import linking", "compiler.library.linking"),
        ("compiler.library.linking", "from spair.plugins.compiler.build import Build", "compiler.build.Build"),
    ],
)
def test_imports_from_above_are_found(module, source, name):
    (problem,) = check_floors(source, module)
    assert problem.endswith(f"may not import spair.plugins.{name}")
