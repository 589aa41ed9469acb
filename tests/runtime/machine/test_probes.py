"""Each backend's two outcomes, on made-up machines."""

import importlib.metadata

import pytest

from spair.runtime.machine import probes
from spair.runtime.machine.board.identity import Jetson
from spair.runtime.machine.packages import Answer
from spair.runtime.machine.probes import Probe


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these packages are installed, and what they answer."""

    def pretend(**answers):
        absent = Answer(None, "No module named 'x'", True)
        monkeypatch.setattr(probes, "ask_package", lambda package, *question: answers.get(package, absent))

    return pretend


def torch(cuda):
    return Answer(["2.13.0", cuda])


def onnxruntime(*providers):
    return Answer(["1.32.0", list(providers)])


CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.mark.parametrize(
    ("module", "ok", "reason"),
    [
        (onnxruntime(CPU, CUDA), True, None),
        (onnxruntime(CPU), True, "pip install onnxruntime-gpu"),
        (onnxruntime("OtherProvider"), False, "no CPU provider"),
    ],
)
def test_onnxruntime_with_its_providers(installed, module, ok, reason):
    installed(onnxruntime=module)
    probe = probes.probe_onnxruntime()
    assert (probe.ok, probe.version) == (ok, "1.32.0")
    assert probe.reason is None if reason is None else reason in probe.reason


@pytest.mark.parametrize(("cuda", "reason"), [(True, None), (False, "CPU only")])
def test_torch_works_with_and_without_a_gpu(installed, cuda, reason):
    installed(torch=torch(cuda))
    assert probes.probe_torch() == Probe(True, "2.13.0", reason)


@pytest.mark.parametrize(
    ("probe", "package"),
    [(probes.probe_tensorrt, "tensorrt"), (probes.probe_rtx, "tensorrt_rtx")],
)
def test_tensorrt_needs_package_and_gpu(installed, monkeypatch, probe, package):
    installed()
    absent = probe()
    assert not absent.ok and f"{package} is not installed; pip install" in absent.reason
    installed(**{package: Answer("10.9")})
    monkeypatch.setattr(probes, "list_gpus", lambda: ([], "no driver"))
    assert probe() == Probe(False, "10.9", "no driver")
    monkeypatch.setattr(probes, "list_gpus", lambda: (["RTX"], None))
    assert probe() == Probe(True, "10.9", None)


@pytest.mark.parametrize(
    ("probe", "remedy"), [(probes.probe_torch, "spair-rt[export]"), (probes.probe_onnxruntime, "onnxruntime")]
)
def test_an_absent_package_names_what_brings_it(installed, probe, remedy):
    installed()
    found = probe()
    assert not found.ok and found.version is None
    assert "is not installed; pip install" in found.reason and remedy in found.reason


def test_a_package_that_breaks_on_import_is_not_called_absent(installed):
    installed(torch=Answer(None, "libfoo.so.1: cannot open shared object file"))
    assert probes.probe_torch().reason == (
        "the Python package torch does not import: libfoo.so.1: cannot open shared object file"
    )


def test_on_a_jetson_tensorrt_comes_from_jetpack(installed, monkeypatch):
    installed()
    monkeypatch.setattr(probes, "find_jetson", lambda: Jetson("36.4.3"))
    assert "nvidia-jetpack" in probes.probe_tensorrt().reason


def test_the_real_onnxruntime_answers():
    found = probes.probe_onnxruntime()
    assert found.ok and found.version == importlib.metadata.version("onnxruntime")
