"""The command as a whole: help, speed of import, and what becomes of errors."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from spair.cli.main import VERBS as RECORDS
from spair.runtime import UserError
from spair.runtime.machine import probes

VERBS = [verb.run.__name__ for verb in RECORDS]


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
        "repository",
        "restore",
        "serve",
        "train",
        "trust",
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
    ("arguments", "sentence", "pointer"),
    [
        (["nonsense"], "no such command 'nonsense'", "spair"),
        (["restor"], "no such command 'restor'; did you mean 'restore'?", "spair"),
        (["--nope"], "no such option: --nope", "spair"),
        (["export"], "missing argument 'MODEL'", "spair export"),
        (["inspect", "a", "--no-such"], "no such option: --no-such", "spair inspect"),
        (
            ["calibrate", "a", "--images", "b"],
            "missing option '--precision'; choose from: fp16, int8",
            "spair calibrate",
        ),
        (["restore", "a", "b", "--out", "c", "--tile", "x"], "invalid value for '--tile': .*'x'", "spair restore"),
        (["restore", "a", "b", "--out", "c", "--tile", "7"], "invalid value for '--tile': .*8.*'?7'?", "spair restore"),
        (
            ["train", "a", "--accelerator", "tpu"],
            "invalid value for '--accelerator': 'tpu' is not one of",
            "spair train",
        ),
    ],
)
def test_wrong_usage_is_our_sentence_and_points_to_the_help(spair, arguments, sentence, pointer):
    done = spair(*arguments)
    done.refused(f"^error: {sentence}")
    assert done.err.splitlines()[1:] == [f"see {pointer} --help"]


def test_a_file_that_begins_with_a_dash_is_told_apart_from_an_option(spair, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-photo.png").touch()
    arguments = ["restore", "rain", "-photo.png", "--out", "x"]
    monkeypatch.setattr(sys, "argv", ["spair", *arguments])
    spair(*arguments).refused(r"no such option: -p; for the file of that name write \./-photo\.png$")
    (tmp_path / "-photo.png").unlink()
    spair(*arguments).refused("no such option: -p$")


def test_without_a_verb_the_help_goes_to_stderr(spair):
    done = spair()
    assert (done.code, done.out) == (2, "") and done.err == spair("--help").out


def test_importing_the_command_loads_nothing_heavy():
    heavy = "('torch', 'onnxruntime', 'onnx', 'lightning', 'skimage', 'scipy', 'pyvips', 'numpy', 'spair.runtime')"
    done = run_fresh(f"import sys, spair.cli.main; print([name for name in {heavy} if name in sys.modules])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_console_script_runs_main():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="spair")
    assert script.value == "spair.cli:main"


def test_main_ends_the_process_with_the_exit_code_of_the_verb():
    done = run_fresh("from spair.cli.main import main; main()", "inspect", "/nowhere.spair")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: cannot open the bundle /nowhere.spair") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("torch", ["inspect", "/x.safetensors"], "export"),
        ("torch", ["train", "/x.toml"], "train"),
        ("starlette", ["serve", "/x.spair"], "serve"),
        ("uvicorn", ["serve", "/x.spair"], "serve"),
        ("onnx", ["export", "/x.safetensors", "--out", "/x.spair"], "export"),
    ],
)
def test_a_missing_package_is_one_sentence_naming_the_extra(package, arguments, extra):
    code = f"import sys; sys.modules['{package}'] = None\nfrom spair.cli.main import main; main()"
    done = run_fresh(code, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"needs the Python package {package}" in done.stderr
    assert f"pip install 'spair-rt[{extra}]'" in done.stderr and "Traceback" not in done.stderr


def test_a_message_of_several_lines_becomes_one(spair, monkeypatch):
    def fail():
        raise UserError("first\n   second")

    monkeypatch.setattr(probes, "PROBES", {"x": fail})
    assert spair("doctor").err.splitlines()[-1] == "error: first second"


def test_a_bug_keeps_its_traceback(spair, monkeypatch):
    monkeypatch.setattr(probes, "PROBES", {"x": lambda: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        spair("doctor")


def test_ctrl_c_is_exit_code_130(spair, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(probes, "PROBES", {"x": interrupt})
    done = spair("doctor", "--json")
    assert (done.code, done.out) == (130, "")
    assert "interrupted" in done.err
