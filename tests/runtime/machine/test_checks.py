"""Checks of what engines need, on made-up machines."""

import shutil
import subprocess

import pytest

from spair.runtime.machine import checks
from spair.runtime.machine.board.facts import read_facts
from spair.runtime.machine.board.identity import find_jetson
from spair.runtime.machine.board.software import Environment
from spair.runtime.machine.checks import (
    check_gpu_software,
    check_jetson,
    check_onnxruntime_gpu,
    check_package,
)
from spair.runtime.machine.packages import Answer
from spair.runtime.machine.probes import Probe
from tests.runtime.machine.board.trees import ORIN_NANO, ORIN_NX, RELEASE, write

NAMES = ("driver", "gpu", "jetson", "tensorrt", "tensorrt_rtx", "pycuda", "cuda-bindings", "polygraphy")
ABSENT = Answer(None, "No module named 'x'", True)


@pytest.fixture
def machine(monkeypatch):
    """Pretend that the imports of these packages give these answers; all others are absent."""

    def pretend(onnxruntimes=None, **answers):
        monkeypatch.setattr(checks, "find_jetson", lambda: None)
        monkeypatch.setattr(checks, "probe_driver", lambda: (Probe(True, "CUDA 12.6", None), Probe(True, "1", None)))
        monkeypatch.setattr(checks, "list_onnxruntimes", lambda: onnxruntimes or {})
        monkeypatch.setattr(
            checks, "ask_package", lambda package, *question: answers.get(package.split(".")[0], ABSENT)
        )

    return pretend


def test_every_part_has_its_answer_in_order(machine):
    machine()
    found = check_gpu_software()
    assert tuple(found) == (*NAMES, "onnxruntime-gpu")
    assert all(probe.reason for name, probe in found.items() if not probe.ok)
    assert not found["tensorrt"].ok and not found["onnxruntime-gpu"].ok and found["driver"].ok


def test_one_of_the_two_ways_to_cuda_is_enough(machine):
    machine(pycuda=Answer("2026.1"))
    found = check_gpu_software()
    assert found["pycuda"] == Probe(True, "2026.1", None)
    assert found["cuda-bindings"].reason.startswith("not needed, since pycuda works; ")
    machine(cuda=Answer("13.5.0"))
    assert check_gpu_software()["pycuda"].reason.startswith("not needed, since cuda-bindings works; ")
    machine()
    assert not check_gpu_software()["pycuda"].reason.startswith("not needed")


def test_real_packages_answer(monkeypatch):
    monkeypatch.setitem(checks._PACKAGES, "json", ("json", "str(module.__version__)"))
    assert check_package("json", None).ok
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed; pip install 'spair-rt[rtx]'")
    assert check_package("tensorrt_rtx", None).ok


def test_questions_read_the_versions_of_the_real_packages(tmp_path, monkeypatch):
    """Stand-ins with the modules and names of pycuda and cuda-bindings."""
    for path, text in {
        "pycuda/__init__.py": "VERSION_TEXT = '2026.1'",
        "pycuda/driver.py": "",
        "cuda/bindings/__init__.py": "__version__ = '13.5.0'",
        "cuda/bindings/driver.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert check_package("pycuda", None) == Probe(True, "2026.1", None)
    assert check_package("cuda-bindings", None).ok


# Jetson


def describe(root, python=(3, 10)):
    jetson = find_jetson(root)
    return read_facts(jetson, root, Environment(python, False, {"numpy": "1.26.4", "cuda-bindings": "12.9.2"}))


def test_another_machine_is_no_jetson():
    assert check_jetson(None) == Probe(True, None, "this machine is no Jetson")


def test_the_first_fault_of_a_board_is_named_with_its_command(tmp_path):
    found = check_jetson(describe(write(tmp_path, ORIN_NX)))
    assert not found.ok and found.version == "36.4.7"
    assert "NvMapMemAllocInternalTagged" in found.reason and "upgrade to L4T 36.5" in found.reason
    assert found.reason.endswith("dist-upgrade")


def test_advice_alone_is_no_fault(tmp_path):
    found = check_jetson(describe(write(tmp_path, ORIN_NANO)))
    assert (found.ok, found.version) == (True, "36.4.3")
    assert found.reason.endswith(", L4T 36.4.3 of JetPack 6.2")


def test_a_fault_without_a_command_has_none(tmp_path):
    found = check_jetson(describe(write(tmp_path, {"etc/nv_tegra_release": RELEASE.format(35, "4.1")})))
    assert found.reason.endswith("flash the board with one of them")


# ONNX Runtime

BOTH = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
GPU = {"onnxruntime-gpu": "1.31.1"}


def test_two_onnxruntimes_are_noticed_with_the_command_that_mends_it(machine):
    machine(BOTH)
    found = check_onnxruntime_gpu()
    assert (found.ok, found.version) == (False, "1.31.1")
    assert "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are installed together" in found.reason
    assert "pip uninstall -y onnxruntime onnxruntime-gpu, then install one of them again" in found.reason


def test_the_cpu_package_alone_says_how_to_replace_it(machine, monkeypatch):
    machine({"onnxruntime": "1.32.0"})
    words = "pip uninstall -y onnxruntime, then pip install onnxruntime-gpu"
    assert check_onnxruntime_gpu().reason.endswith(words) or "x86-64 alone" in check_onnxruntime_gpu().reason
    monkeypatch.setattr(checks.platform, "machine", lambda: "aarch64")
    assert check_onnxruntime_gpu().reason.endswith(f"{words}; the package index has it for x86-64 alone")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer([["CUDAExecutionProvider"], None, ["a", "b"]]), None),
        (Answer([["CPUExecutionProvider"], None, []]), "it has no CUDA provider: pip install --force-reinstall"),
        (Answer(None, "libcublasLt.so.13: cannot open shared object file"), "CUDA's libraries are missing"),
        (Answer(None, "its import crashed (SIGSEGV)"), "crashed"),
    ],
)
def test_the_cuda_provider_is_loaded_with_its_libraries(machine, answer, reason):
    machine(GPU, onnxruntime=answer)
    found = check_onnxruntime_gpu()
    assert (found.ok, found.version) == (reason is None, "1.31.1")
    assert found.reason is None if reason is None else reason in found.reason


@pytest.mark.parametrize("library", ["libcublasLt.so.99", None])
def test_the_question_loads_the_provider_of_the_package(tmp_path, monkeypatch, library):
    """A stand-in with the layout of onnxruntime-gpu; its provider may need a library that is not there."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed; on Debian and Ubuntu: apt-get install gcc")
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    text = "def get_available_providers(): return ['CUDAExecutionProvider']\ndef preload_dlls(): print('chatter')\n"
    (capi.parent / "__init__.py").write_text(text)
    build = ["gcc", "-x", "c", "-shared", "-"]
    subprocess.run([*build, "-o", str(capi / "libonnxruntime_providers_shared.so")], input=b"int x;", check=True)
    needs = []
    if library:
        subprocess.run([*build, "-o", str(tmp_path / library)], input=b"int z;", check=True)
        needs = ["-Wl,--no-as-needed", f"-L{tmp_path}", f"-l:{library}"]
    target = capi / "libonnxruntime_providers_cuda.so"
    subprocess.run([*build, "-o", str(target), *needs], input=b"int y;", check=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(checks, "list_onnxruntimes", lambda: GPU)
    found = check_onnxruntime_gpu()
    assert found.ok is (library is None), found.reason
    if library:
        assert f"does not load for CUDA: {library}: cannot open shared object file" in found.reason
        assert "CUDA's libraries are missing" in found.reason


def test_the_question_works_with_the_onnxruntime_that_is_installed(monkeypatch):
    """The package of the CPU has no CUDA provider to load."""
    monkeypatch.setattr(checks, "list_onnxruntimes", lambda: GPU)
    import onnxruntime as ort

    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("onnxruntime-gpu is installed")
    assert "it has no CUDA provider" in check_onnxruntime_gpu().reason
