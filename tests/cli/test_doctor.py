"""Report of `spair doctor`, as JSON and as text."""

import pytest

from spair.runtime.machine import checks, probes
from spair.runtime.machine.probes import Probe


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No driver and no package is asked, and the cache is the test's own."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    found = {"pycuda": Probe(False, None, "pip install [it]"), "driver": Probe(True, "CUDA 12.6", None)}
    monkeypatch.setattr(checks, "check_gpu_software", lambda: found)


def test_json_has_the_keys_of_the_design(spair, monkeypatch, tmp_path):
    def probe():
        print("a library's chatter")
        return Probe(False, None, "no reason")

    monkeypatch.setattr(probes, "PROBES", dict.fromkeys(probes.PROBES, probe))
    done = spair("doctor", "--json")
    report = done.json
    assert set(report["backends"]) == {"onnxruntime", "tensorrt", "rtx", "torch"}
    assert report["backends"]["rtx"] == {"ok": False, "version": None, "reason": "no reason"}
    assert {"cpu", "cores", "memory_gb", "python", "gpus"} <= set(report["machine"]) and report["machine"]["cores"] >= 1
    assert report["checks"]["pycuda"] == {"ok": False, "version": None, "reason": "pip install [it]"}
    place = str(tmp_path / "cache" / "trusted.json")
    assert report["trusted"] == {"list": place, "files": 0, "reason": None}


def test_people_see_each_backend_with_its_reason(spair, monkeypatch):
    monkeypatch.setattr(
        probes, "PROBES", {"good": lambda: Probe(True, "1.0", None), "bad": lambda: Probe(False, None, "why [x]")}
    )
    done = spair("doctor")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["good", "yes", "1.0"] in lines and ["bad", "no", "–", "why", "[x]"] in lines
    assert ["driver", "yes", "CUDA", "12.6"] in lines and ["pycuda", "no", "–", "pip", "install", "[it]"] in lines
    assert "0 trusted files with code, listed in " in done.out


@pytest.mark.parametrize("version", [None, "36.4.3"])
def test_only_a_jetson_is_told_about_jetsons(spair, monkeypatch, version):
    monkeypatch.setattr(probes, "PROBES", {})
    monkeypatch.setattr(checks, "check_gpu_software", lambda: {"jetson": Probe(True, version, "words")})
    rows = [line.split() for line in spair("doctor").out.splitlines()]
    assert (["jetson", "yes", "36.4.3", "words"] in rows) is (version is not None)
    assert any(row[:1] == ["jetson"] for row in rows) is (version is not None)
    assert spair("doctor", "--json").json["checks"]["jetson"]["version"] == version


def test_a_list_that_cannot_be_used_is_said(spair, monkeypatch, tmp_path):
    monkeypatch.setattr(probes, "PROBES", {})
    (tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "cache" / "trusted.json").touch(mode=0o600)
    (tmp_path / "cache" / "trusted.json").write_text("{")
    done = spair("doctor")
    assert done.code == 0 and "is damaged" in done.out and "trusted files with code" not in done.out
