"""Writer of the page on what was not verified: `python -m tests.docs.unverified`.

It reads the sources of the tests, and runs none of them.
"""

from __future__ import annotations

import ast
import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.areas import (
    AREAS,
    CAMERAS,
    ENGINES,
    JETSON,
    PLUGINS,
    POWER,
    PROCESSORS,
    PROGRAMS,
    PROVIDER,
    TRAINING,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "unverified.md"
SKIPS = ("pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.importorskip")

_INTRODUCTION = (
    "No GPU with TensorRT and no Jetson was at hand while this was written. This page says what therefore ran nowhere, "
    "what stands in its place, and how to find out. Results from such machines are welcome."
)
_ORIGIN = (
    "The page is made from the tests that wait for such a machine, by `python -m tests.docs.unverified`. A test fails "
    "when it is out of date, or when a new skip is in none of its areas."
)

PLACES = {
    "tests/gpu/": ENGINES,
    "tests/gpu/plugins/": PLUGINS,
    "tests/gpu/test_plugins.py": PLUGINS,
    "tests/gpu/test_board.py": JETSON,
    "tests/gpu/test_energy.py": POWER,
    "tests/gpu/test_training.py": TRAINING,
}
"""Areas of the tests that need a GPU; the longest place that fits counts."""
REASONS = {
    r"the backend .* is not available": PROVIDER,
    r"PyTorch finds no CUDA GPU": TRAINING,
    r"this processor does not run": PROCESSORS,
    r"tests/gpu/.*: reason$": ENGINES,
    r"there is no camera": CAMERAS,
}
"""Areas of skips elsewhere, by patterns of "file: reason"."""
HERE = (
    r"not installed",
    r"pip install ",
    r"is installed$",
    r"(Triton|scikit-image) (compiles|brings|has) ",
    r"written in Triton",
    r"there is a GPU here, so ",
    r"development images",
    r"Windows has no",
    r"Linux alone ",
    r"glibc",
    r"no real Triton",
    r"slow: make aarch64",
    r"slow: make replicas",
    r"slow: make faults",
    r"asked for with: make fuzz",
    r"this container may mount nothing",
    r"^tests/serving/clients/.*: (Triton has it|spair serve has no|Triton takes|this server has no|a negative size)",
    r"templates were made",
    r"TensorRT headers|headers of several TensorRTs",
    r"the placement|CPU's provider alone",
    r"TensorRT-RTX alone has it|engines of TensorRT-RTX do not say",
    r"(?i)bindings|on the double|in one of its own",
    r"^tests/(emulated|plugins|runtime/(cuda|engine|machine))/.*: (str\(error\)|reason|None)$",
)
"""Patterns of skips that say nothing about hardware: a tool or package can be installed, or another run has it."""


@dataclass(frozen=True)
class Skip:
    """Place where tests are skipped."""

    file: str
    reason: str
    """The reason, or the expression that makes it."""
    condition: str
    """Expression of a mark that skips where it is true, else empty."""

    @property
    def words(self) -> str:
        return f"{self.file}: {self.reason}"


def list_sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield the name and the syntax tree of every file of tests."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def list_skips(file: str, tree: ast.AST) -> list[Skip]:
    """List where a file of tests, or a part of one, skips."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SKIPS:
            function = ast.unparse(node.func)
            given = [word.value for word in node.keywords if word.arg == "reason"]
            given += node.args[:1] if function in ("pytest.skip", "pytest.mark.skip") else []
            condition = ast.unparse(node.args[0]) if function.endswith("skipif") else ""
            found.append(Skip(file, _read_reason(given[0]) if given else "None", condition))
    return found


def _read_reason(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"  # type: ignore[attr-defined]
            for part in node.values
        )
    return ast.unparse(node)


def find_area(skip: Skip) -> str | None:
    """Return the title of a skip's area, or None where it needs no absent hardware.

    Raises:
        ValueError: no pattern fits the skip.
    """
    for pattern in HERE:
        if re.search(pattern, skip.words):
            return None
    for pattern, area in REASONS.items():
        if re.search(pattern, skip.words):
            return area
    raise ValueError(
        f"the skip {skip.words!r} is in no area; add a pattern to REASONS in tests/docs/unverified.py if it "
        "waits for a machine that was not at hand, else to HERE"
    )


def list_waiting(tree: ast.Module) -> list[str]:
    """List the tests of a file that need a GPU, as sentences."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    waiting = [node for node in functions if _is_marked(tree) or _needs_gpu(node)]
    return [node.name.removeprefix("test_").replace("_", " ") for node in waiting]


def _is_marked(tree: ast.Module) -> bool:
    """Whether a whole file needs a GPU."""
    assigned = (ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign))
    return any(line.startswith("pytestmark") and "pytest.mark.gpu" in line for line in assigned)


def _needs_gpu(node: ast.FunctionDef) -> bool:
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    return any(
        mark.startswith(("pytest.mark.gpu", "pytest.mark.skipif(not torch.cuda.is_available()")) for mark in marks
    )


def collect_tests() -> dict[str, dict[str, list[str]]]:
    """Collect what waits for each area: the tests' sentences by file; none for a file whose fixtures skip."""
    found: dict[str, dict[str, list[str]]] = {area.title: {} for area in AREAS}
    for file, tree in list_sources():
        waiting = list_waiting(tree)
        if _is_marked(tree) or waiting:
            place = max((place for place in PLACES if file.startswith(place)), key=len, default=None)
            if place is None:
                raise ValueError(f"{file} needs a GPU and is in no area; add it to PLACES")
            found[PLACES[place]][file] = waiting
            continue
        for skip in list_skips(file, tree):
            area = find_area(skip)
            if area is not None and Path(file).name != "conftest.py":
                found[area].setdefault(file, [])
    return found


def format_page() -> str:
    """Write the page."""
    tests = collect_tests()
    parts = [
        f"# What was not verified\n\n{_fill(_INTRODUCTION)}\n\n{_fill(_ORIGIN)}\n",
    ]
    for area in AREAS:
        parts.append(f"\n## {area.title}\n\n{_fill('**Not known.** ' + area.unknown)}\n")
        parts.append(f"\n{_fill('**Checked.** ' + area.known)}\n")
        if area.title == PROGRAMS:
            parts.append(_format_programs())
        if area.commands:
            parts.append("\n```sh\n" + "\n".join(area.commands) + "\n```\n")
        if tests[area.title]:
            parts.append("\nTests that wait:\n\n")
            parts += [_format_file(file, names) for file, names in sorted(tests[area.title].items())]
    return "".join(parts)


def _fill(text: str) -> str:
    return textwrap.fill(text, 140, break_long_words=False, break_on_hyphens=False)


def _format_file(file: str, names: list[str]) -> str:
    """Write the entry of a file: its link, what it is about, and its tests."""
    about = (ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or "").split("\n")[0].rstrip(".")
    link = f"[{file}]({os.path.relpath(ROOT / file, PAGE.parent)})"
    return f"- {link}: {about}\n" + "".join(f"  - {name}\n" for name in names)


def _format_programs() -> str:
    """Write the programs that no test runs, from the table of the page on programs."""
    rows = ["\n| program | sources |\n|---|---|\n"]
    for line in (PAGE.parent / "tasks" / "hosts.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[-1].startswith("its sources: "):
            rows.append(f"| {cells[0]} | {cells[-1].removeprefix('its sources: ')} |\n")
    return "".join(rows) + "\nTheir options are on the page [Load plugins in other programs](tasks/hosts.md).\n"


if __name__ == "__main__":
    PAGE.write_text(format_page(), encoding="utf-8")
