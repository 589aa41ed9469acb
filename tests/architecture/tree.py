"""The modules of the toolkit and their imports, read from the source without running it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("temporary", "network", "plugins", "runtime", "training", "export", "calibration", "serving", "cli")
FOLDERS = (*PACKAGES, "benchmarks")


@dataclass(frozen=True)
class Module:
    """One file of Python; `name` is its path without suffix, as runtime/tiling/geometry or runtime/tiling/__init__."""

    name: str
    tree: ast.Module
    lines: tuple[str, ...]

    @property
    def room(self) -> str:
        """The folder that it stands in."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True)
class Import:
    """One name that one module imports from another of the toolkit; `eager` when it happens on import."""

    source: str
    line: int
    target: str
    eager: bool


@functools.cache
def read_modules() -> dict[str, Module]:
    """Return the modules of all folders by name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(ROOT).with_suffix("").as_posix()
            found[name] = Module(name, ast.parse(text), tuple(text.split("\n")))
    return found


def list_imports(module: Module, known: dict[str, Module]) -> Iterator[Import]:
    """Yield what a module imports of the toolkit, those inside functions and of types alone included."""
    for node, eager in walk(module.tree, True):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = resolve(node, module)
        for alias in node.names if base else ():
            target = find_module([*base, alias.name], known)
            if target and target != module.name:
                yield Import(module.name, node.lineno, target, eager)


def walk(node: ast.AST, eager: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node below another one, and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        inside = eager and not deferred and not for_types
        yield child, inside
        yield from walk(child, inside)


def resolve(node: ast.ImportFrom, module: Module) -> list[str]:
    """Return the path that an import starts from, empty where that is outside of the toolkit."""
    words = node.module.split(".") if node.module else []
    if node.level:
        parents = module.room.split("/")
        return [*parents[: len(parents) - node.level + 1], *words]
    if words[:1] == ["spair"]:
        return words[1:]
    return words if words[:1] == ["benchmarks"] else []


def find_module(words: list[str], known: dict[str, Module]) -> str | None:
    """Return the module that holds the last of some words, or is named by them all."""
    for path in ("/".join(words), "/".join(words[:-1])):
        for name in (path, f"{path}/__init__"):
            if name in known:
                return name
    return None


@functools.cache
def all_imports() -> tuple[Import, ...]:
    """Return every import between modules of the toolkit."""
    known = read_modules()
    return tuple(one for module in known.values() for one in list_imports(module, known))
