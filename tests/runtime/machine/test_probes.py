"""Each backend's two outcomes, on made-up machines."""

from types import SimpleNamespace

import pytest

from spair.runtime.machine import probes
from spair.runtime.machine.probes import Probe


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these packages are installed."""

    def pretend(**modules):
        def load(package):
            return (
                (modules[package], None)
                if package in modules
                else (None, f"the Python package {package} is not installed")
            )

        monkeypatch.setattr(probes, "load", load)

    return pretend


def torch(cuda):
    return SimpleNamespace(__version__="2.13.0", cuda=SimpleNamespace(is_available=lambda: cuda))


def onnxruntime(*providers):
    return SimpleNamespace(__version__="1.32.0", get_available_providers=lambda: list(providers))


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
    installed(**{package: SimpleNamespace(__version__="10.9")})
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


def test_a_package_that_breaks_on_import_is_not_called_absent(tmp_path, monkeypatch):
    (tmp_path / "broken_one.py").write_text("raise ImportError('libfoo.so.1:\\n cannot open shared object file')")
    (tmp_path / "broken_two.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert probes.load("broken_one") == (
        None,
        "the Python package broken_one does not import: libfoo.so.1: cannot open shared object file",
    )
    assert "No module named 'no_such_dependency'" in probes.load("broken_two")[1]
    assert probes.load("no_such_package") == (None, "the Python package no_such_package is not installed")
    assert probes.load("json")[0].dumps(1) == "1"
