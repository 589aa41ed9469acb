"""The report on the kernels."""

import pytest

from spair.runtime.cpu import choice, probe
from spair.runtime.cpu.library import load_library, loading
from spair.runtime.cpu.library.sets import list_local_sets
from spair.runtime.cpu.probe import choose_here, probe_kernels
from spair.runtime.errors import UserError
from spair.runtime.machine.probes import Probe

GRAPHS = Probe(True, "1.22.0", None)


@pytest.fixture
def no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(loading, "find_ready", lambda: None)


@pytest.mark.parametrize("installed", [True, False])
def test_kernels_that_work_name_their_instruction_set_and_origin(compiler, monkeypatch, installed):
    path = loading.find_ready()
    monkeypatch.setattr(probe, "find_ready", lambda: path if installed else None)
    found = probe_kernels()
    assert found.ok and found.version in [one.title for one in list_local_sets()]
    made = "which were installed" if installed else "compiled by "
    assert found.reason.startswith(f"kernels of our own for --backend cpu, {made}")


def test_without_a_compiler_one_sentence_says_so(no_compiler):
    found = probe_kernels()
    assert not found.ok and found.version is None
    assert "there is no C++ compiler (g++, clang++ or c++)" in found.reason and "\n" not in found.reason


def test_a_failure_is_the_reason(monkeypatch, compiler):
    def fail():
        raise UserError("why not")

    monkeypatch.setattr(probe, "load_library", fail)
    assert probe_kernels() == (False, None, "why not")


def test_the_choice_of_this_processor_has_a_reason(compiler, monkeypatch):
    title = load_library().instructions.title
    monkeypatch.setattr(choice, "FASTER_SETS", (load_library().instructions.name,))
    assert choose_here(GRAPHS) == ("cpu", f"its kernels for {title} give the picture of ONNX Runtime sooner, in fp32")
    monkeypatch.setattr(choice, "FASTER_SETS", ())
    found = choose_here(GRAPHS)
    assert found.backend == "onnxruntime" and f"the kernels for {title} were not yet" in found.reason


def test_without_kernels_the_choice_is_onnx_runtime(no_compiler):
    found = choose_here(GRAPHS)
    assert found.backend == "onnxruntime" and "there is no C++ compiler" in found.reason


def test_where_onnx_runtime_does_not_import_nothing_is_chosen(compiler):
    """The kernels are compared with it whenever a bundle is opened."""
    reason = "the Python package onnxruntime does not import: it crashed"
    found = choose_here(Probe(False, None, reason))
    assert found.backend == "none" and found.reason.endswith(reason)
