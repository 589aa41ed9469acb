"""Search for the sources that decide a kernel's code.

They are the kernel's module and what it imports from its own package.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

from ...errors import PluginError


def list_sources(module: str) -> dict[str, Path]:
    """Map a module and its imports to their files.

    Imports are followed, directly and indirectly, as long as they belong to the same top package.

    Raises:
        PluginError: the module is missing.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _find_file(name)
        if name in found or path is None:
            continue
        found[name] = path
        inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
        top = module.partition(".")[0]
        waiting += [other for other in _list_imports(path, inside) if other.partition(".")[0] == top]
    if module not in found:
        raise PluginError(f"the kernels of {module} are missing; install spair-rt again")
    return found


def _find_file(module: str) -> Path | None:
    spec = _find_spec(module)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _find_spec(module: str) -> ModuleSpec | None:
    """Find a module without running it.

    Returns None also for a name inside a module; Python's own function would run the module to find that out.
    """
    parent = module.rpartition(".")[0]
    above = _find_spec(parent) if parent else None
    if parent and (above is None or above.submodule_search_locations is None):
        return None
    return importlib.util.find_spec(module)


def _list_imports(path: Path, package: str) -> Iterator[str]:
    """List the modules that a file imports.

    Names imported from a module are listed as well, since they may be modules.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
