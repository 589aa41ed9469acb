"""Surface of a release of the bindings.

Run `python -m tests.emulated.library.surface FOLDER PACKAGE`; it prints classes, members and argument names as JSON.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import re
import sys
from types import ModuleType
from typing import Any


def read_surface(module: ModuleType) -> dict[str, Any]:
    """Return the classes and the other names of a package."""
    classes = {name: list_members(value) for name, value in vars(module).items() if inspect.isclass(value)}
    others = [name for name, value in vars(module).items() if not inspect.isclass(value)]
    return {"classes": classes, "others": others}


def list_members(kind: type) -> dict[str, dict[str, Any]]:
    """Return facts about the members of a class.

    They are whether it is called, and the argument names of its overloads.
    """
    made = {}
    for name in dir(kind):
        if name.startswith("__") and name != "__init__":
            continue
        static, own = inspect.getattr_static(kind, name), getattr(kind, name)
        is_called = not isinstance(static, property) and callable(own)
        made[name] = {"called": is_called, "overloads": list_overloads(name, own.__doc__ or "")}
    return made


def list_overloads(name: str, text: str) -> list[list[str]]:
    """Return the argument names of a docstring's signatures."""
    found = re.findall(rf"^\s*(?:\d+\. )?{re.escape(name)}\((.*)\) -> ", text, re.MULTILINE)
    return [split_arguments(part) for part in found if part != "*args, **kwargs"]


def split_arguments(text: str) -> list[str]:
    """Return the names of arguments, `self` apart.

    Commas inside of brackets separate none.
    """
    depth, part, parts = 0, "", []
    for sign in f"{text.replace('->', '=>')},":
        depth += (sign in "([{<") - (sign in ")]}")
        depth -= sign == ">" and not part.endswith("=")
        if sign == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += sign
    names = [re.split(r"[:=]", part)[0].strip() for part in parts if part.strip()]
    return [name for name in names if name not in ("self", "/", "*")]


def find_differences(real: dict[str, Any], double: ModuleType, instances: dict[str, Any]) -> list[str]:
    """Return what a double has too much.

    Args:
        real: the answer of `read_surface`.
        double: a package.
        instances: class -> an object of it, for attributes that are made in `__init__`.
    """
    found = []
    for name, value in vars(double).items():
        if name.startswith("_"):
            continue
        if not inspect.isclass(value):
            found += [] if name in real["others"] else [name]
        elif name not in real["classes"]:
            found.append(f"class {name}")
        elif issubclass(value, enum.Enum):
            found += [f"{name}.{member}" for member in value.__members__ if member not in real["classes"][name]]
        else:
            attributes = set(vars(instances.get(name, value))) | set(dir(value)) - set(dir(tuple))
            shown = sorted(member for member in attributes if not member.startswith("_"))
            found += [part for member in shown if (part := compare_member(name, value, member, real["classes"][name]))]
    return found


def compare_member(name: str, kind: type, member: str, theirs: dict[str, Any]) -> str | None:
    """Return the fault of a member, or None."""
    if member not in theirs:
        return f"{name}.{member}"
    own = inspect.getattr_static(kind, member, None)
    if not inspect.isfunction(own):
        is_value = not inspect.isclass(own) and not isinstance(own, enum.Enum)
        return f"{name}.{member} is a method" if theirs[member]["called"] and is_value else None
    if not theirs[member]["called"]:
        return f"{name}.{member} is a property"
    ours = [argument for argument in inspect.signature(own).parameters if argument != "self"]
    overloads = theirs[member]["overloads"]
    return None if not overloads or ours in overloads else f"{name}.{member}({', '.join(ours)}), real {overloads}"


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    print(json.dumps(read_surface(importlib.import_module(sys.argv[2]))))
