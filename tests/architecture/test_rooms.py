"""Rooms are small, know only those below them, and nothing goes round in a circle."""

import re
from collections import Counter

import pytest

from tests.architecture.tree import PACKAGES, ROOT, Import, all_imports, read_modules

MAX_MODULES = 10
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def read_floors(text: str) -> dict[str, frozenset[str]]:
    """Read the rows `| `runtime/tiling/` | `errors`, … |` of CONTRIBUTING.md: room or module -> what it may import.

    Words without a slash are rooms or modules of the same folder.
    """
    floors = {}
    for name, cell in re.findall(r"^\| `(\w+/[\w/]+)` \|([^|\n]*)\|$", text, re.MULTILINE):
        folder = name.split("/")[0]
        words = re.findall(r"`([\w/]+)`", cell)
        floors[name.rstrip("/")] = frozenset(
            word.rstrip("/") if word.split("/")[0] in PACKAGES else f"{folder}/{word.rstrip('/')}" for word in words
        )
    return floors


FLOORS = read_floors(CONTRIBUTING)
FOLDERS_WITH_FLOORS = {name.split("/")[0] for name in FLOORS}


def find_floor(module: str, floors: dict[str, frozenset[str]]) -> str | None:
    """Return the longest row that a module belongs to."""
    rows = [row for row in floors if module == row or module.startswith(f"{row}/")]
    return max(rows, key=len, default=None)


def judge(one: Import, floors: dict[str, frozenset[str]]) -> str | None:
    """Return what is wrong with an import inside a folder, or None."""
    here, there = find_floor(one.source, floors), find_floor(one.target, floors)
    if here is None or there is None:
        return f"{one.source}: no row of CONTRIBUTING.md covers {one.source if here is None else one.target}"
    if here == there or there in floors[here]:
        return None
    return f"{one.source}, line {one.line}: {here} may not import {there}"


def find_circle(edges: dict[str, set[str]]) -> list[str]:
    """Return the nodes of one circle, empty where there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return []
        for other in sorted(edges.get(node, ())):
            circle = visit(other, [*path, node])
            if circle:
                return circle
        done.add(node)
        return []

    return next((circle for node in sorted(edges) if (circle := visit(node, []))), [])


# The tree itself


def test_no_room_has_more_than_ten_modules():
    counts = Counter(module.room for name, module in read_modules().items() if not name.endswith("__init__"))
    assert {room: count for room, count in counts.items() if count > MAX_MODULES} == {}


def test_rooms_import_only_the_rooms_below_them():
    inside = [one for one in all_imports() if one.source.split("/")[0] == one.target.split("/")[0]]
    problems = [judge(one, FLOORS) for one in inside if one.source.split("/")[0] in FOLDERS_WITH_FLOORS]
    assert [problem for problem in problems if problem] == []


def test_every_folder_of_the_toolkit_with_rooms_has_its_rows():
    with_rooms = {name.split("/")[0] for name in read_modules() if name.count("/") > 1 and "/weights/" not in name}
    with_rooms = (with_rooms & set(PACKAGES)) - {"cli"}  # verbs have a rule of their own
    assert with_rooms <= FOLDERS_WITH_FLOORS


def test_every_row_covers_modules_and_names_others():
    names = read_modules()
    assert [row for row in FLOORS if not any(find_floor(name, FLOORS) == row for name in names)] == []
    assert {word for allowed in FLOORS.values() for word in allowed} - set(FLOORS) == set()


def test_the_rows_lead_downwards_only():
    assert find_circle({row: set(allowed) for row, allowed in FLOORS.items()}) == []


def test_no_module_imports_itself_through_others():
    edges: dict[str, set[str]] = {}
    for one in all_imports():
        if one.eager:
            edges.setdefault(one.source, set()).add(one.target)
    assert find_circle(edges) == []


def test_nobody_imports_the_command_line():
    outside = [one for one in all_imports() if one.target.startswith("cli/") and not one.source.startswith("cli/")]
    assert [f"{one.source}, line {one.line}" for one in outside] == []


def test_a_verb_imports_no_other_verb():
    def verb(name: str) -> str:
        return name.split("/")[1].removesuffix("__init__")

    shared = {"shared", "pages", "main", ""}
    found = [
        f"{one.source} imports {one.target}"
        for one in all_imports()
        if one.source.startswith("cli/") and one.target.startswith("cli/")
        if not {verb(one.source), verb(one.target)} & shared and verb(one.source) != verb(one.target)
    ]
    assert found == []


OWNERS = {
    "pyvips": {"runtime/images/reader", "runtime/images/writer"},
    "onnxruntime": {"runtime/backends/package"},
    "torch": set(),
}
"""Package -> the modules of the runtime that may name it."""


@pytest.mark.parametrize("package", OWNERS)
def test_only_its_own_modules_of_the_runtime_name_a_package(package):
    pattern = re.compile(rf"^\s*(import|from) {package}\b", re.MULTILINE)
    runtime = {name: module for name, module in read_modules().items() if name.startswith("runtime/")}
    found = {name for name, module in runtime.items() if pattern.search("\n".join(module.lines))}
    assert found <= OWNERS[package]


@pytest.mark.parametrize("room", ["operators", "passes", "packed", "engines"])
def test_rooms_of_export_that_rewrite_graphs_do_without_torch(room):
    pattern = re.compile(r"^\s*(import|from) torch\b", re.MULTILINE)
    rooms = {name: module for name, module in read_modules().items() if name.startswith(f"export/{room}/")}
    assert rooms and [name for name, module in rooms.items() if pattern.search("\n".join(module.lines))] == []


# The readers, on made-up rows

TABLE = """
| room | may import |
|---|---|
| `runtime/errors` | nothing |
| `runtime/tiling/` | `errors` |
| `runtime/tiling/spec` | nothing |
| `export/eager` | `operators`, `runtime/tiling/` |
"""


def test_rows_are_read_with_their_folder():
    assert read_floors(TABLE) == {
        "runtime/errors": frozenset(),
        "runtime/tiling": frozenset({"runtime/errors"}),
        "runtime/tiling/spec": frozenset(),
        "export/eager": frozenset({"export/operators", "runtime/tiling"}),
    }


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ("runtime/tiling/geometry", "runtime/errors", None),
        ("runtime/tiling/geometry", "runtime/tiling/whole", None),
        ("runtime/errors", "runtime/tiling/whole", "line 3: runtime/errors may not import runtime/tiling"),
        ("runtime/tiling/spec", "runtime/errors", "line 3: runtime/tiling/spec may not import runtime/errors"),
        ("runtime/new", "runtime/errors", "no row of CONTRIBUTING.md covers runtime/new"),
    ],
)
def test_imports_are_judged_by_the_longest_row(source, target, problem):
    found = judge(Import(source, 3, target, True), read_floors(TABLE))
    assert found == problem or (found and problem and found.endswith(problem))


def test_circles_are_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}}) == []
