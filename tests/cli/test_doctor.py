"""`spair doctor`: each backend's two outcomes, on made-up machines."""

from types import SimpleNamespace

import pytest

from spair.cli import doctor, probes
from spair.cli.probes import Probe
from spair.runtime.machine import report as machine


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


def test_json_has_the_keys_of_the_design(spair, monkeypatch):
    def probe():
        print("a library's chatter")
        return Probe(False, None, "no reason")

    monkeypatch.setattr(doctor, "PROBES", dict.fromkeys(probes.PROBES, probe))
    done = spair("doctor", "--json")
    report = done.json
    assert set(report["backends"]) == {"onnxruntime", "tensorrt", "rtx", "torch"}
    assert report["backends"]["rtx"] == {"ok": False, "version": None, "reason": "no reason"}
    assert {"cpu", "cores", "memory_gb", "python", "gpus"} <= set(report["machine"]) and report["machine"]["cores"] >= 1


def test_people_see_each_backend_with_its_reason(spair, monkeypatch):
    monkeypatch.setattr(
        doctor, "PROBES", {"good": lambda: Probe(True, "1.0", None), "bad": lambda: Probe(False, None, "why [x]")}
    )
    done = spair("doctor")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["good", "yes", "1.0"] in lines and ["bad", "no", "–", "why", "[x]"] in lines


def test_memory_is_read_in_kibibytes(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:       2000000 kB\nMemFree: 1 kB\n")
    assert machine.read_memory_gb(tmp_path / "meminfo") == pytest.approx(2.048)
    assert machine.read_memory_gb(tmp_path / "absent") is None


class Driver:
    """libcuda with `count` GPUs, or an error."""

    def __init__(self, count=0, error=0):
        self.count, self.error = count, error

    def cuInit(self, flags):  # noqa: N802
        return self.error

    def cuDeviceGetCount(self, pointer):  # noqa: N802
        pointer._obj.value = self.count
        return 0

    def cuDeviceGet(self, pointer, index):  # noqa: N802
        return 0

    def cuDeviceGetName(self, name, length, device):  # noqa: N802
        name.value = b"Some GPU"
        return 0


@pytest.mark.parametrize(
    ("driver", "gpus", "reason"),
    [
        (Driver(2), ["Some GPU", "Some GPU"], None),
        (Driver(0), [], "there is no NVIDIA GPU"),
        (Driver(error=100), [], r"found no usable GPU (CUDA error 100)"),
        (None, [], "libcuda.so.1 is missing"),
    ],
)
def test_gpus_are_asked_of_the_driver(monkeypatch, driver, gpus, reason):
    def load(name):
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr(machine.ctypes, "CDLL", load)
    found, why = machine.list_gpus()
    assert found == gpus
    assert why is None if reason is None else reason in why


def test_the_machine_line_is_complete():
    facts = {"cpu": "C", "cores": 1, "memory_gb": 7.9, "system": "Linux x86_64", "python": "3.12.1", "gpus": ["G"]}
    assert machine.machine_line(facts) == "C, 1 core, 8 GB, G, Linux x86_64, Python 3.12.1"
    assert "no GPU" in machine.machine_line({**facts, "gpus": [], "memory_gb": None})
