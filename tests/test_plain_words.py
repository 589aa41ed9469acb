"""First lines of docstrings are short phrases that name their subject."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("network", "training", "export", "plugins", "calibration", "runtime", "serving", "cli", "benchmarks")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
MAX_WORDS = 10
RIDDLES = re.compile(r"(Of|That of|Those of|The same|What|Which|How|Where|Whose|Who|Whoever|Whether what|Likewise)\b")
"""Openings that name no subject."""


def count_words(line: str) -> int:
    """Count the words of a line; a code span is one word, and so is a number with its unit."""
    return len(re.sub(r"`[^`]*`", "code", line).split())


def judge_first_line(docstring: str) -> str | None:
    """Return what is wrong with a docstring's first line, or None."""
    first, _, rest = docstring.strip().partition("\n")
    if RIDDLES.match(first):
        return f"begins with {RIDDLES.match(first).group(1)}"  # type: ignore[union-attr]
    if ":" in re.sub(r"`[^`]*`", "", first):
        return "has a colon"
    if count_words(first) > MAX_WORDS:
        return f"has {count_words(first)} words"
    if rest and rest.split("\n")[0].strip():
        return "goes on in the next line"
    return None


def list_docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, docstring) of a module, its classes and its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def list_value_docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of the strings below constants and fields."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for before, after in itertools.pairwise(body) if isinstance(body, list) else ():
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if is_text and isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after.value.value, str):
                yield after.lineno, after.value.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_first_lines_are_short_phrases_that_name_their_subject(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [(line, text.split("\n")[0], judge_first_line(text)) for line, text in list_docstrings(tree)]
    found += [
        (line, text.split("\n")[0], "begins as a riddle")
        for line, text in list_value_docstrings(tree)
        if RIDDLES.match(text.strip())
    ]
    problems = [f"line {line}: {text!r} {problem}" for line, text, problem in sorted(found) if problem]
    assert not problems, "\n".join(problems)


# The judge itself, on made-up lines


@pytest.mark.parametrize(
    "line",
    [
        "Identity elimination pass for removing redundant Identity nodes.",
        "Read a convolution node for packing.",
        "Run `python -m a: b c d e f g h i j k l`.",
        "Plan of a picture.\n\nWhat follows may say: anything at any length, since it is no first line.",
    ],
)
def test_plain_lines_pass(line):
    assert judge_first_line(line) is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("What each layer becomes.", "begins with What"),
        ("Of an instruction.", "begins with Of"),
        ("The same for masks.", "begins with The same"),
        ("The runtime: bundles and tiles.", "has a colon"),
        ("One two three four five six seven eight nine ten eleven.", "has 11 words"),
        ("A sentence that goes\non.", "goes on in the next line"),
    ],
)
def test_riddles_are_found(line, problem):
    assert judge_first_line(line) == problem


def test_strings_below_values_are_read():
    assert list(list_value_docstrings(ast.parse('A = 1\n"""Pixels."""\nclass B:\n    c: int\n    """Of it."""'))) == [
        (2, "Pixels."),
        (5, "Of it."),
    ]
