"""Functions are short, and a public class shares its name with no other in its folder."""

import ast
from collections import defaultdict

from tests.architecture.tree import FOLDERS, PACKAGES, Module, read_modules

MAX_LINES = 40


def count_code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: tuple[str, ...], *, body_only: bool) -> int:
    """Count the lines of a function that hold code: no docstring, comment or empty line."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = node.body[1:] if documented and isinstance(first.value.value, str) else node.body
    start = body[0].lineno if body else node.end_lineno
    counted = range(start, node.end_lineno + 1)
    signature = range(node.lineno, first.lineno)
    numbers = counted if body_only else [*signature, *counted]
    return sum(1 for number in numbers if lines[number - 1].strip() and not lines[number - 1].strip().startswith("#"))


def is_verb(module: Module, node: ast.AST) -> bool:
    """Whether a function is a verb of the command line, whose signature declares the options."""
    return module.name.startswith("cli/") and "typer." in ast.unparse(node.args)  # type: ignore[attr-defined]


def test_functions_have_at_most_forty_lines_of_code():
    long = {}
    for module in read_modules().values():
        if module.name.endswith("kernel") and module.name.startswith("plugins/") and "/compiler/" not in module.name:
            continue  # what one kernel does in one launch is one function
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = count_code_lines(node, module.lines, body_only=is_verb(module, node))
                if count > MAX_LINES:
                    long[f"{module.name}: {node.name}"] = count
    assert long == {}


def test_a_folder_has_no_two_public_classes_of_one_name():
    homes = defaultdict(list)
    for module in read_modules().values():
        folder = module.name.split("/")[0]
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[folder, node.name].append(module.name)
    assert {f"{folder}: {name}": where for (folder, name), where in homes.items() if len(where) > 1} == {}


def test_every_folder_is_looked_at():
    seen = {name.split("/")[0] for name in read_modules()}
    assert seen == set(FOLDERS) and set(PACKAGES) < seen


def test_code_lines_leave_out_documents_comments_and_blanks():
    text = 'def f(\n    a,\n):\n    """Doc.\n\n    More.\n    """\n    # why\n    b = a\n\n    return b\n'
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.FunctionDef)
    assert count_code_lines(node, tuple(text.split("\n")), body_only=True) == 2
    assert count_code_lines(node, tuple(text.split("\n")), body_only=False) == 5
