"""Measures of the source: sizes of files, functions and rooms, words of first lines.

Run `python -m tests.architecture.measures [FOLDER]` from the root of the repository. FOLDER is another checkout to
measure, for example one that `git worktree add ../before REVISION` made.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.tree import FOLDERS, ROOT
from tests.test_plain_words import RIDDLES, count_words, judge_first_line, list_docstrings


@dataclass(frozen=True)
class Measures:
    """Figures of one folder."""

    files: int
    largest_room: int
    """Modules in the fullest folder, `__init__` apart."""
    file_lines: tuple[int, int, int]
    """Median, 90th percentile and largest number of lines of code in a file."""
    function_lines: tuple[int, int, int]
    """The three figures for functions."""
    first_words: int
    """Median number of words in the first line of a module."""
    colons: int
    """Percent of modules whose first line has a colon."""
    riddles: int
    """First lines that name no subject, of modules, classes and functions."""
    broken: int
    """First lines that break the rule for any reason."""
    mirrored: int
    """Percent of modules with a test of their name in the mirrored place."""


def spread(values: Sequence[int]) -> tuple[int, int, int]:
    """Return median, 90th percentile and maximum."""
    ordered = sorted(values)
    return round(statistics.median(ordered)), ordered[int(0.9 * (len(ordered) - 1))], ordered[-1]


def count_code(lines: Sequence[str], documents: set[int]) -> int:
    """Count lines that are neither empty, comment nor docstring; numbers of `documents` start at 1."""
    code = (line.strip() for number, line in enumerate(lines, 1) if number not in documents)
    return sum(1 for line in code if line and not line.startswith("#"))


def document_lines(tree: ast.AST) -> set[int]:
    """Return the numbers of the lines that strings standing alone take."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    return {number for node in found for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def measure_folder(root: Path, folder: str) -> Measures:
    """Measure one folder of a checkout."""
    paths = sorted((root / folder).rglob("*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    rooms: dict[Path, int] = {}
    files, functions, first, broken, riddles, mirrored, named = [], [], [], 0, 0, 0, 0
    for path, tree in trees.items():
        lines, documents = texts[path].split("\n"), document_lines(tree)
        files.append(count_code(lines, documents))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                functions.append(count_code([lines[n - 1] if n not in documents else "" for n in inside], set()))
        for _, text in list_docstrings(tree):
            broken += judge_first_line(text) is not None
            riddles += RIDDLES.match(text) is not None
        first.append((ast.get_docstring(tree) or "").split("\n")[0])
        if path.stem not in ("__init__", "__main__"):
            rooms[path.parent] = rooms.get(path.parent, 0) + 1
            named += 1
            mirrored += (root / "tests" / path.parent.relative_to(root) / f"test_{path.stem}.py").exists()
    return Measures(
        files=len(paths),
        largest_room=max(rooms.values()),
        file_lines=spread(files),
        function_lines=spread(functions),
        first_words=round(statistics.median(count_words(line) for line in first)),
        colons=round(100 * sum(":" in line for line in first) / len(first)),
        riddles=riddles,
        broken=broken,
        mirrored=round(100 * mirrored / named),
    )


def format_table(root: Path) -> str:
    """Return the measures of every folder as a Markdown table."""
    head = (
        "| folder | files | fullest room | file lines | function lines | words of a module's first line | with colon "
        "| riddles | rule broken | tested by name |"
    )
    rows = [head, "|---" * 10 + "|"]
    for folder in FOLDERS:
        one = measure_folder(root, folder)
        sizes = [" / ".join(map(str, figures)) for figures in (one.file_lines, one.function_lines)]
        rows.append(
            f"| {folder} | {one.files} | {one.largest_room} | {sizes[0]} | {sizes[1]} | {one.first_words} "
            f"| {one.colons} % | {one.riddles} | {one.broken} | {one.mirrored} % |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    print(format_table(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT))
