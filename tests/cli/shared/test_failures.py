"""Exit codes and sentences of exceptions."""

import pytest

from spair.cli.shared.failures import explain
from spair.network import CheckpointError
from spair.plugins.compiler.kernels.compilation import RuleError
from spair.plugins.errors import PluginError
from spair.runtime import GateError, UserError


@pytest.mark.parametrize(
    ("package", "verb", "extra"),
    [
        ("torch", "restore", "export"),
        ("torch", "demo", "train,export"),
        ("onnx.checker", "evaluate", "train,export"),
        ("onnxscript", "demo", "train,export"),
        ("lightning", "train", "train"),
    ],
)
def test_the_extra_fits_verb_and_package(package, verb, extra):
    failure = explain(ModuleNotFoundError(f"No module named {package!r}", name=package), verb)
    assert failure is not None and failure.code == 2
    assert failure.sentence.endswith(f"pip install 'spair-rt[{extra}]'")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a"), 2),
        (CheckpointError("a"), 2),
        (PluginError("a"), 2),
        (OSError("a"), 2),
        (GateError("a"), 1),
        (RuleError("a"), 1),
        (FloatingPointError("a"), 1),
    ],
)
def test_each_family_of_errors_has_its_exit_code(error, code):
    assert explain(error, "train") == ("a", code, None)


@pytest.mark.parametrize(("error", "reason"), [(MemoryError(), ""), (MemoryError("5 GiB\nhere"), " (5 GiB here)")])
def test_a_lack_of_memory_is_one_sentence(error, reason):
    assert explain(error, "profile") == (
        f"memory ran out{reason}; give smaller pictures, or smaller pieces where there is --tile", 1, None
    )  # fmt: skip


@pytest.mark.parametrize(
    "error", [ValueError("a"), KeyError("a"), ImportError("a"), ModuleNotFoundError("a", name="spair.x")]
)
def test_a_bug_is_not_explained_away(error):
    assert explain(error, "train") is None


@pytest.mark.parametrize("kind", [UserError, CheckpointError, PluginError, GateError, RuleError])
def test_every_error_of_the_toolkit_carries_its_http_status(kind):
    assert kind.http_status == {2: 400, 1: 500}[kind.exit_code]


def test_an_error_of_a_package_that_this_one_does_not_know_is_explained_by_its_attribute():
    class RefusedError(Exception):
        exit_code = 7

    assert explain(RefusedError("no\n  room"), "train") == ("no room", 7, None)
