"""Report of `spair doctor`, as JSON and as text."""

import tempfile

import pytest

from spair.runtime.bundle import cleaning
from spair.runtime.cpu import probe as kernels
from spair.runtime.machine import checks, probes
from spair.runtime.machine import report as machine_report
from spair.runtime.machine.probes import Probe
from spair.runtime.machine.report import describe_board
from tests.runtime.machine.board.trees import ORIN_NX, write
from tests.temporary.dead import left_by_the_dead

CHOOSE = kernels.choose_here


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No driver and no package is asked, and the cache is the test's own."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    found = {"pycuda": Probe(False, None, "pip install [it]"), "driver": Probe(True, "CUDA 12.6", None)}
    monkeypatch.setattr(checks, "check_gpu_software", lambda: found)
    monkeypatch.setattr(kernels, "probe_kernels", lambda: Probe(False, None, "there is no C++ compiler"))
    monkeypatch.setattr(kernels, "choose_here", lambda graphs: kernels.AutoChoice("onnxruntime", "why [so]"))


def test_json_has_the_keys_of_the_design(spair, monkeypatch, tmp_path):
    def probe():
        print("a library's chatter")
        return Probe(False, None, "no reason")

    monkeypatch.setattr(probes, "PROBES", dict.fromkeys(probes.PROBES, probe))
    done = spair("doctor", "--json")
    report = done.json
    assert set(report["backends"]) == {"onnxruntime", "tensorrt", "rtx", "torch", "cpu"}
    assert report["backends"]["rtx"] == {"ok": False, "version": None, "reason": "no reason"}
    assert report["auto"] == {"backend": "onnxruntime", "reason": "why [so]"}
    assert {"cpu", "cores", "memory_gb", "python", "gpus"} <= set(report["machine"]) and report["machine"]["cores"] >= 1
    assert report["checks"]["pycuda"] == {"ok": False, "version": None, "reason": "pip install [it]"}
    place = str(tmp_path / "cache" / "trusted.json")
    assert report["trusted"] == {"list": place, "files": 0, "reason": None}


def test_people_see_each_backend_with_its_reason(spair, monkeypatch):
    monkeypatch.setattr(
        probes,
        "PROBES",
        {"onnxruntime": lambda: Probe(True, "1.0", None), "bad": lambda: Probe(False, None, "why [x]")},
    )
    done = spair("doctor")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["onnxruntime", "yes", "1.0"] in lines and ["bad", "no", "–", "why", "[x]"] in lines
    assert ["cpu", "no", "–", "there", "is", "no", "C++", "compiler"] in lines
    assert ["driver", "yes", "CUDA", "12.6"] in lines and ["pycuda", "no", "–", "pip", "install", "[it]"] in lines
    assert "auto takes onnxruntime: why [so]" in done.out
    assert "0 trusted files with code, listed in " in done.out


def test_an_onnx_runtime_that_crashes_is_not_chosen(spair, monkeypatch):
    monkeypatch.setattr(kernels, "choose_here", CHOOSE)
    monkeypatch.setattr(probes, "PROBES", {"onnxruntime": lambda: Probe(False, None, "it crashed [so]")})
    done = spair("doctor")
    assert done.code == 0 and "auto takes" not in done.out
    reason = "the kernels of the backend cpu are compared with ONNX Runtime, and it crashed [so]"
    assert f"nothing works without a GPU: {reason}" in done.out
    assert spair("doctor", "--json").json["auto"] == {"backend": "none", "reason": reason}


@pytest.mark.parametrize("version", [None, "36.4.3"])
def test_only_a_jetson_is_told_about_jetsons(spair, monkeypatch, version):
    monkeypatch.setattr(probes, "PROBES", {"onnxruntime": lambda: Probe(True, "1.0", None)})
    monkeypatch.setattr(checks, "check_gpu_software", lambda: {"jetson": Probe(True, version, "words")})
    rows = [line.split() for line in spair("doctor").out.splitlines()]
    assert (["jetson", "yes", "36.4.3", "words"] in rows) is (version is not None)
    assert any(row[:1] == ["jetson"] for row in rows) is (version is not None)
    assert spair("doctor", "--json").json["checks"]["jetson"]["version"] == version


def test_a_list_that_cannot_be_used_is_said(spair, monkeypatch, tmp_path):
    monkeypatch.setattr(probes, "PROBES", {"onnxruntime": lambda: Probe(True, "1.0", None)})
    (tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "cache" / "trusted.json").touch(mode=0o600)
    (tmp_path / "cache" / "trusted.json").write_text("{")
    done = spair("doctor")
    assert done.code == 0 and "is damaged" in done.out and "trusted files with code" not in done.out


def test_leftovers_are_told_and_cleaned(spair, monkeypatch, tmp_path):
    monkeypatch.setattr(probes, "PROBES", {"onnxruntime": lambda: Probe(True, "1.0", None)})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache").mkdir()
    left = left_by_the_dead(tmp_path / "cache" / "[a]")
    left.touch()
    assert spair("doctor", "--json").json["leftovers"] == [str(left)]
    assert "1 leftover of killed processes; remove with: spair doctor --clean" in spair("doctor").out
    done = spair("doctor", "--clean")
    assert done.code == 0 and done.out.splitlines()[0] == f"removed {left}" and not left.exists()
    assert spair("doctor", "--clean", "--json").json["removed"] == []
    assert "killed processes" not in spair("doctor").out


def test_a_cleaning_that_fails_has_an_exit_code(spair, monkeypatch, tmp_path):
    left = left_by_the_dead(tmp_path / "a")
    left.touch()
    monkeypatch.setattr(cleaning, "remove", lambda path: False)
    done = spair("doctor", "--clean", tmp_path)
    assert done.code == 1 and f"failed {left}: it could not be removed" in done.out


def test_folders_are_for_cleaning(spair, tmp_path):
    spair("doctor", tmp_path).refused("is for cleaning; add --clean")
    spair("doctor", "--clean", tmp_path / "absent").refused("it is not a folder")


def test_a_board_is_shown_with_its_findings_and_their_commands(spair, monkeypatch, tmp_path):
    monkeypatch.setattr(probes, "PROBES", {"onnxruntime": lambda: Probe(True, "1.0", None)})
    root = write(tmp_path / "board", ORIN_NX)
    monkeypatch.setattr(machine_report, "describe_board", lambda: describe_board(root))
    lines = spair("doctor").out.splitlines()
    assert "NVIDIA Jetson Orin NX Engineering Reference Developer Kit, L4T 36.4.7, JetPack 6.2.1" in lines
    assert "power mode MAXN (mode 0), GPU 306 MHz of 306 to 1020 MHz" in lines
    assert "memory 14.9 GiB, available 7.5 GiB, zram 0.0 GiB, swap 16.0 GiB" in lines
    place = next(index for index, line in enumerate(lines) if line.startswith("fault, allocation: L4T 36.4.7 fails"))
    assert lines[place + 1].startswith("    sudo sed -i s/r36.4/r36.5/ ")
    board = spair("doctor", "--json").json["board"]
    assert (board["jetpack"], board["part"], board["stack"]["tensorrt"]) == ("6.2.1", "p3767-0000", "10.3")
    assert {"name", "fault", "sentence", "command"} == set(board["findings"][0])


def test_another_machine_has_no_board(spair, monkeypatch, tmp_path):
    monkeypatch.setattr(probes, "PROBES", {"onnxruntime": lambda: Probe(True, "1.0", None)})
    monkeypatch.setattr(machine_report, "describe_board", lambda: describe_board(tmp_path))
    assert spair("doctor", "--json").json["board"] is None and "advice" not in spair("doctor").out
