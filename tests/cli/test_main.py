"""The command as a whole: help, speed of import, and what becomes of errors."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from spair.cli import doctor
from spair.cli.main import app
from spair.cli.shared.failures import explain
from spair.network import CheckpointError
from spair.runtime import GateError, UserError

VERBS = [command.name for command in app.registered_commands]


def run_fresh(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a new process, away from the repository."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd="/", env=os.environ.copy(), text=True, capture_output=True, check=False)


def test_the_verbs_are_those_of_the_design():
    assert sorted(VERBS) == [
        "build",
        "calibrate",
        "demo",
        "doctor",
        "evaluate",
        "export",
        "inspect",
        "models",
        "profile",
        "restore",
        "train",
    ]


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_has_an_example(spair, verb):
    done = spair(verb, "--help")
    assert done.code == 0
    assert f"  spair {verb}" in done.out.partition("Examples:")[2]
    assert "--json" in done.out


def test_the_version_is_that_of_the_distribution(spair):
    assert spair("--version").out == f"spair {importlib.metadata.version('spair-rt')}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["export"], ["restore", "--tile", "x"], ["inspect", "a", "--no-such"]]
)
def test_wrong_usage_is_exit_code_2(spair, arguments):
    done = spair(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: " in done.err


def test_importing_the_command_loads_nothing_heavy():
    heavy = "('torch', 'onnxruntime', 'onnx', 'lightning', 'skimage', 'scipy', 'pyvips')"
    done = run_fresh(f"import sys, spair.cli.main; print([name for name in {heavy} if name in sys.modules])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_console_script_runs_main():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="spair")
    assert script.value == "spair.cli.main:main"


def test_main_ends_the_process_with_the_exit_code_of_the_verb():
    done = run_fresh("from spair.cli.main import main; main()", "inspect", "/nowhere.spair")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: cannot open the bundle /nowhere.spair") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("torch", ["inspect", "/x.safetensors"], "export"),
        ("torch", ["train", "/x.toml"], "train"),
        ("onnx", ["export", "/x.safetensors", "--out", "/x.spair"], "export"),
    ],
)
def test_a_missing_package_is_one_sentence_naming_the_extra(package, arguments, extra):
    code = f"import sys; sys.modules['{package}'] = None\nfrom spair.cli.main import main; main()"
    done = run_fresh(code, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"needs the Python package {package}" in done.stderr
    assert f"pip install 'spair-rt[{extra}]'" in done.stderr and "Traceback" not in done.stderr


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
    [(UserError("a"), 2), (CheckpointError("a"), 2), (GateError("a"), 1), (FloatingPointError("a"), 1)],
)
def test_each_family_of_errors_has_its_exit_code(error, code):
    assert explain(error, "train") == ("a", code)


@pytest.mark.parametrize(("error", "reason"), [(MemoryError(), ""), (MemoryError("5 GiB\nhere"), " (5 GiB here)")])
def test_a_lack_of_memory_is_one_sentence(error, reason):
    assert explain(error, "profile") == (
        f"memory ran out{reason}; give smaller pictures, or smaller pieces where there is --tile", 1
    )  # fmt: skip


@pytest.mark.parametrize(
    "error", [ValueError("a"), KeyError("a"), ImportError("a"), ModuleNotFoundError("a", name="spair.x")]
)
def test_a_bug_is_not_explained_away(error):
    assert explain(error, "train") is None


def test_a_message_of_several_lines_becomes_one(spair, monkeypatch):
    def fail():
        raise UserError("first\n   second")

    monkeypatch.setattr(doctor, "PROBES", {"x": fail})
    assert spair("doctor").err.splitlines()[-1] == "error: first second"


def test_a_bug_keeps_its_traceback(spair, monkeypatch):
    monkeypatch.setattr(doctor, "PROBES", {"x": lambda: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        spair("doctor")


def test_ctrl_c_is_exit_code_130(spair, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "PROBES", {"x": interrupt})
    done = spair("doctor", "--json")
    assert (done.code, done.out) == (130, "")
    assert "interrupted" in done.err
