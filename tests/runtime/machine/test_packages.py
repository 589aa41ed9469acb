"""Packages answer from another process, whatever their import does to it."""

import json
import re
import sys

import pytest

from spair.runtime.machine import packages
from spair.runtime.machine.packages import Answer, ask_package, list_onnxruntimes


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a module that child processes find."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def file(name, text):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return file


def test_a_package_answers_with_a_json_value(write):
    write("good", "__version__ = '1.2'; print('chatter'); import os; os.system('echo more chatter')")
    assert ask_package("good") == Answer("1.2")
    assert ask_package("good", "[module.__version__, 1, None]").value == ["1.2", 1, None]
    assert "good" not in sys.modules


def test_an_absent_package_is_told_from_a_broken_one(write):
    assert ask_package("no_such_package") == Answer(None, "No module named 'no_such_package'", True)
    assert ask_package("no_such_package.driver").absent
    write("broken", "import no_such_dependency")
    assert ask_package("broken") == Answer(None, "No module named 'no_such_dependency'", False)
    write("lame", "raise ImportError('libfoo.so.1:\\n cannot open shared object file')")
    assert ask_package("lame") == Answer(None, "libfoo.so.1: cannot open shared object file", False)


def test_a_package_without_the_wanted_module_is_absent(write):
    write("half/__init__", "")
    assert ask_package("half.driver").absent
    assert not ask_package("half.other.driver").value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "its import crashed .SIGSEGV."),
        ("import os; os.abort()", "its import crashed .SIGABRT."),
        ("import os, sys; sys.stderr.write('no licence'); sys.stderr.flush(); os._exit(3)", "exit code 3 .no licence."),
        ("raise SystemExit(4)", "exit code 4"),
        ("raise KeyError", "KeyError"),
        ("raise AttributeError('_ARRAY_API not found')", "_ARRAY_API not found"),
    ],
)
def test_whatever_an_import_does_is_an_answer(write, text, words):
    write("evil", text)
    answer = ask_package("evil")
    assert answer.value is None and not answer.absent
    assert re.search(words, answer.error), answer.error


def test_an_import_that_never_ends_is_an_answer(write, monkeypatch):
    monkeypatch.setattr(packages, "LIMIT", 1)
    write("slow", "import time; time.sleep(60)")
    assert ask_package("slow").error == "its import did not end within 1 seconds"


def test_a_question_that_fails_is_an_answer(write):
    write("bare", "")
    assert ask_package("bare").error == "module 'bare' has no attribute '__version__'"


def test_a_module_of_the_current_folder_is_not_asked(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert ask_package("json", "module.dumps(1)").value == json.dumps(1)


def test_distributions_of_onnxruntime_are_found_under_all_their_names(tmp_path, monkeypatch):
    for name in ("onnxruntime_gpu-1.31.1", "onnxruntime-1.32.0", "onnxruntime_extensions-0.1", "numpy-2.0"):
        folder = tmp_path / f"{name}.dist-info"
        folder.mkdir()
        own, version = name.rsplit("-", 1)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {own}\nVersion: {version}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert list_onnxruntimes() == {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
