"""Who may import whom (the table of CONTRIBUTING.md), the packages of setup.cfg, and the length of files."""

import ast
import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 350
ANYTHING = frozenset({"anything"})


@dataclass(frozen=True)
class Rule:
    """What one folder may import; a row of the table in CONTRIBUTING.md.

    `outside` is ANYTHING or a closed list of packages (the standard library is always allowed); `deferred`
    are packages whose import has to stand inside a function.
    """

    toolkit: frozenset[str]
    outside: frozenset[str]
    deferred: frozenset[str]


def read_rules(text: str) -> dict[str, Rule]:
    rules = {}
    for folder, *cells in re.findall(r"^\| `(\w+)/` \|([^|]*)\|([^|]*)\|([^|]*)\|$", text, re.MULTILINE):
        toolkit, outside, deferred = (frozenset(re.findall(r"`(\w+)`", cell)) for cell in cells)
        rules[folder] = Rule(toolkit, ANYTHING if cells[1].strip() == "anything" else outside, deferred)
    return rules


def list_imports(tree: ast.Module, package: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, absolute name, whether it runs at import time) of each import in a module of `package`."""

    def visit(node: ast.AST, eager: bool) -> Iterator[tuple[int, str, bool]]:
        for child in ast.iter_child_nodes(node):
            inside = eager and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                yield from ((child.lineno, alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                parents = package.split(".")
                base = parents[: len(parents) - child.level + 1] if child.level else []
                base += child.module.split(".") if child.module else []
                yield from ((child.lineno, ".".join([*base, alias.name]), inside) for alias in child.names)
            elif is_dynamic_import(child):
                yield child.lineno, child.args[0].value, inside
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                inside = False
            yield from visit(child, inside)

    return visit(tree, True)


def is_dynamic_import(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
        and not node.args[0].value.startswith(".")
    )


def check_imports(source: str, module: str, rules: dict[str, Rule], *, is_package: bool = False) -> list[str]:
    """Return one sentence per forbidden import in the source of `module` (spair.folder…)."""
    package = module if is_package else module.rpartition(".")[0]
    folder = module.split(".")[1]
    rule = rules[folder]
    problems = []
    for line, name, eager in list_imports(ast.parse(source), package):
        top, *rest = name.split(".")
        where = f"{module}, line {line}"
        if top == "spair":
            target = rest[0] if rest else ""
            if target != folder and target not in rule.toolkit:
                problems.append(f"{where}: {folder} may not import spair.{target}")
        elif top in rules or top in {"tests", "benchmarks"}:
            problems.append(f"{where}: {top} is a folder of this repository, not a package")
        elif rule.outside != ANYTHING and top not in rule.outside | sys.stdlib_module_names:
            problems.append(f"{where}: {folder} may not import {top}")
        elif eager and top in rule.deferred:
            problems.append(f"{where}: {folder} may import {top} inside functions only")
    return problems


def read_setup() -> tuple[list[str], dict[str, str]]:
    """Return the packages of setup.cfg and its mapping of packages to root folders."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    mapping = (line.split(" = ") for line in config["options"]["package_dir"].split("\n") if line)
    return config["options"]["packages"].split(), dict(mapping)


RULES = read_rules((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
PACKAGES, FOLDERS = read_setup()
MODULES = sorted(path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py"))


def name_module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["spair", *(parts[:-1] if parts[-1] == "__init__" else parts)])


# The tree itself


def test_the_table_covers_exactly_the_mapped_folders():
    assert set(RULES) == set(FOLDERS.values())
    assert {name for rule in RULES.values() for name in rule.toolkit} <= set(RULES)
    assert not any("cli" in rule.toolkit for rule in RULES.values())


def test_folders_import_only_what_the_table_allows():
    problems = [
        problem
        for path in MODULES
        for problem in check_imports(
            path.read_text(encoding="utf-8"), name_module(path), RULES, is_package=path.name == "__init__.py"
        )
    ]
    assert not problems, "\n".join(problems)


def test_onnx_runtime_is_imported_by_its_loader_alone():
    """The loader tells a broken installation in a sentence, and commands that run no graph start without it."""
    loader = ROOT / "runtime" / "backends" / "package.py"
    found = [
        f"{path.relative_to(ROOT)}, line {line}: use load_onnxruntime or load_part"
        for path in MODULES
        for line, name, _ in list_imports(ast.parse(path.read_text(encoding="utf-8")), "spair")
        if name.split(".")[0] == "onnxruntime" and path != loader
    ]
    assert not found, "\n".join(found)


def test_root_folder_x_is_the_package_spair_x():
    assert {f"spair.{folder}": folder for folder in FOLDERS.values()} == FOLDERS


def test_setup_lists_every_package_folder_and_no_other():
    found = {name_module(path) for path in MODULES if path.name == "__init__.py"}
    assert sorted(PACKAGES) == sorted(found)
    stray = {str(path.relative_to(ROOT)) for path in MODULES if not (path.parent / "__init__.py").exists()}
    assert not stray, "folders with modules but without __init__.py are left out of the wheel"


def test_python_files_are_short():
    scripts = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path in [*MODULES, *scripts]
        if path.name != "kernel.py"
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def run_fresh(code: str) -> subprocess.CompletedProcess[str]:
    # Away from the repository root, where the bare folder names would be importable.
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT / "tests", env=os.environ.copy(), text=True, capture_output=True, check=False
    )


def test_every_module_of_runtime_imports_where_only_its_own_packages_exist():
    absent = (
        "torch",
        "onnx",
        "onnxscript",
        "lightning",
        "safetensors",
        "skimage",
        "scipy",
        "PIL",
        "pydantic",
        "typer",
    )
    modules = [name_module(path) for path in MODULES if name_module(path).startswith("spair.runtime")]
    code = f"import importlib, sys\nsys.modules.update(dict.fromkeys({absent}))\n"
    code += f"for name in {modules}: importlib.import_module(name)"
    assert run_fresh(code).stderr == ""


@pytest.mark.parametrize("module", ["spair.runtime", "spair.cli.main"])
def test_importing_loads_no_torch(module):
    assert run_fresh(f"import sys, {module}; assert 'torch' not in sys.modules").stderr == ""


# The checker itself, on made-up sources

TABLE = """
| folder | toolkit | outside | inside functions only |
|---|---|---|---|
| `network/` | nothing | anything | |
| `runtime/` | nothing | `numpy`, `rich` | |
| `training/` | `network`, `runtime` | anything | |
| `cli/` | `network`, `runtime`, `training` | anything | `torch` |
"""
MADE_UP = read_rules(TABLE)


def test_rules_are_read_from_the_table():
    nothing = frozenset()
    assert {
        "network": Rule(nothing, ANYTHING, nothing),
        "runtime": Rule(nothing, frozenset({"numpy", "rich"}), nothing),
        "training": Rule(frozenset({"network", "runtime"}), ANYTHING, nothing),
        "cli": Rule(frozenset({"network", "runtime", "training"}), ANYTHING, frozenset({"torch"})),
    } == MADE_UP


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("spair.network.blocks", "import torch\nfrom . import presets\nfrom .presets import TINY"),
        ("spair.training.data.pairs", "from ...runtime.errors import UserError\nfrom .. import measures"),
        ("spair.training.data.pairs", "from spair.network import presets"),
        ("spair.runtime.tiling", "import os.path\nimport numpy as np\nfrom rich.progress import track"),
        ("spair.cli.train", "def train():\n    import torch\n    from ..training import fit"),
        ("spair.cli.train", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    ],
)
def test_allowed_imports_pass(module, source):
    assert check_imports(source, module, MADE_UP) == []


@pytest.mark.parametrize(
    ("module", "line", "source", "problem"),
    [
        (
            "spair.network.a",
            1,
            "from ..runtime.errors import UserError",
            "network may not import spair.runtime",
        ),
        ("spair.network.a", 1, "from .. import runtime", "network may not import spair.runtime"),
        (
            "spair.network.a",
            2,
            "import os\nimport spair.runtime as r",
            "network may not import spair.runtime",
        ),
        ("spair.network.a", 1, "from spair import runtime", "network may not import spair.runtime"),
        (
            "spair.network.a",
            3,
            "def f():\n  if 1:\n    from ..cli import x",
            "network may not import spair.cli",
        ),
        ("spair.network.a", 1, "from ..nowhere import x", "network may not import spair.nowhere"),
        ("spair.training.data.a", 1, "from ...cli import main", "training may not import spair.cli"),
        ("spair.runtime.a", 2, "def f():\n  import torch", "runtime may not import torch"),
        ("spair.runtime.a", 1, "from torch.nn import functional", "runtime may not import torch"),
        ("spair.runtime.a", 1, "importlib.import_module('torch.nn')", "runtime may not import torch"),
        ("spair.runtime.a", 2, "class A:\n  import scipy.ndimage", "runtime may not import scipy"),
        (
            "spair.cli.a",
            2,
            "try:\n  import torch\nexcept E: pass",
            "cli may import torch inside functions only",
        ),
        ("spair.cli.a", 2, "class A:\n  import torch.nn", "cli may import torch inside functions only"),
        ("spair.cli.a", 1, "from runtime import x", "runtime is a folder of this repository, not a package"),
        ("spair.cli.a", 1, "import tests.helpers", "tests is a folder of this repository, not a package"),
    ],
)
def test_forbidden_imports_are_found(module, line, source, problem):
    assert check_imports(source, module, MADE_UP) == [f"{module}, line {line}: {problem}"]


def test_a_package_resolves_relative_imports_from_itself():
    source = "from .errors import UserError\nfrom ..network import presets"
    assert check_imports(source, "spair.runtime", MADE_UP, is_package=True) == [
        "spair.runtime, line 2: runtime may not import spair.network"
    ]
