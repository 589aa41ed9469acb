"""Report of `spair doctor`, as JSON and as text."""

from spair.runtime.machine import probes
from spair.runtime.machine.probes import Probe


def test_json_has_the_keys_of_the_design(spair, monkeypatch):
    def probe():
        print("a library's chatter")
        return Probe(False, None, "no reason")

    monkeypatch.setattr(probes, "PROBES", dict.fromkeys(probes.PROBES, probe))
    done = spair("doctor", "--json")
    report = done.json
    assert set(report["backends"]) == {"onnxruntime", "tensorrt", "rtx", "torch"}
    assert report["backends"]["rtx"] == {"ok": False, "version": None, "reason": "no reason"}
    assert {"cpu", "cores", "memory_gb", "python", "gpus"} <= set(report["machine"]) and report["machine"]["cores"] >= 1


def test_people_see_each_backend_with_its_reason(spair, monkeypatch):
    monkeypatch.setattr(
        probes, "PROBES", {"good": lambda: Probe(True, "1.0", None), "bad": lambda: Probe(False, None, "why [x]")}
    )
    done = spair("doctor")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["good", "yes", "1.0"] in lines and ["bad", "no", "–", "why", "[x]"] in lines
