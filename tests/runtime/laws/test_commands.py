"""Messages put no value into a command unquoted, and manifests bring no name that could hurt there."""

import ast
import re
import shlex

import pytest

from spair.runtime import Bundle, UserError
from tests.architecture.tree import PACKAGES, read_modules
from tests.runtime.bundle.samples import edit

VERBS = "build|calibrate|demo|doctor|evaluate|export|inspect|models|profile|repository|restore|serve|train|trust"
COMMAND = re.compile(rf"(?:spair (?:{VERBS})|chmod \S+)(?: [-\w./=]+)* (?:--[\w-]+[ =])?$")
"""Text after which a value is a word of a command."""
QUOTED = {"quote", "_quote"}
FIXED = {"target.name", "verb", "name"}
"""Values that can only be words of the toolkit's own, or were checked to be names before."""


def find_unquoted(tree):
    """Values that stand in a command and are not quoted."""
    for text in ast.walk(tree):
        if not isinstance(text, ast.JoinedStr):
            continue
        before = ""
        for part in text.values:
            if isinstance(part, ast.Constant):
                before += part.value
                continue
            value = part.value
            calls = isinstance(value, ast.Call) and ast.unparse(value.func) in QUOTED
            if COMMAND.search(before) and not calls and ast.unparse(value) not in FIXED:
                yield ast.unparse(text)
            before += "x"


@pytest.mark.parametrize("package", PACKAGES)
def test_values_in_commands_are_quoted(package):
    modules = {name: module for name, module in read_modules().items() if name.startswith(f"{package}/")}
    assert {name: found for name, module in modules.items() if (found := list(find_unquoted(module.tree)))} == {}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("f'spair build {path} --target {name}'", 1),
        ("f'run: spair trust {path}, or'", 1),
        ("f'spair build {quote(path)} --target {target}'", 1),
        ("f'spair build {quote(path)} --target {quote(target)}'", 0),
        ("f'{path} is what spair build made'", 0),
    ],
)
def test_an_unquoted_value_is_found(source, count):
    assert len(list(find_unquoted(ast.parse(source)))) == count


@pytest.mark.parametrize(
    "name", ["fp32 $(touch x)", "FP32", "", "-x", "..", "a" * 65, "fp32\n", "[red]x", "\x1b[1m", "a/b"]
)
@pytest.mark.parametrize("table", ["graphs", "part", "rows", "targets", "engines", "calibration"])
def test_a_manifest_with_a_name_that_is_none_is_refused(bundles, table, name):
    bundle = bundles.spair()
    graphs = bundle.manifest.raw["graphs"]
    changes = {
        "graphs": {"graphs": {**graphs, name: graphs["fp32"]}},
        "part": {"graphs": {"fp32": {**graphs["fp32"], name: "graphs/fp32/net_l.onnx"}}},
        "rows": {"rows": {name: {}}},
        "targets": {"targets": {name: {}}},
        "engines": {"targets": {"l4": {"engines": {name: {}}}}},
        "calibration": {"calibration": {name: {}}},
    }
    path = edit(bundle, **changes[table])
    with pytest.raises(UserError, match=r"has the name .*, expected at most 64 of a-z, 0-9"):
        Bundle.open(path)


def test_the_command_for_a_bundle_with_an_awkward_path_and_task_can_be_pasted(bundles):
    fields = {**bundles.spair().manifest.raw, "task": "rain; $(id)"}
    path = edit(bundles.spair("it's $(id).spair"), task=fields["task"])
    with pytest.raises(UserError) as refused:
        Bundle.open(path).graph("int8", "net_l")
    words = shlex.split(str(refused.value).partition("make them with: ")[2])
    assert words == ["spair", "calibrate", str(path), "--images", "DIR", "--precision", "int8"]
