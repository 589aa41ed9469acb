"""Facts about a machine and the line that tells them."""

import importlib.metadata
import json

import pytest

from spair.runtime.machine import report
from spair.runtime.machine.report import board_lines, describe_board, machine_line, read_memory_gb, read_versions
from tests.runtime.machine.board.trees import write


def test_memory_is_read_in_kibibytes(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:       2000000 kB\nMemFree: 1 kB\n")
    assert read_memory_gb(tmp_path / "meminfo") == pytest.approx(2.048)
    assert read_memory_gb(tmp_path / "absent") is None


def test_the_machine_line_is_complete():
    facts = {"cpu": "C", "cores": 1, "memory_gb": 7.9, "system": "Linux x86_64", "python": "3.12.1", "gpus": ["G"]}
    assert machine_line(facts) == "C, 1 core, 8 GB, G, Linux x86_64, Python 3.12.1"
    assert "no GPU" in machine_line({**facts, "gpus": [], "memory_gb": None})


def test_versions_are_those_of_the_distributions():
    assert read_versions(["numpy"]) == {"numpy": importlib.metadata.version("numpy")}


def test_onnxruntime_is_reported_under_one_name_whichever_is_installed(monkeypatch):
    def version(name):
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0"

    monkeypatch.setattr(report.importlib.metadata, "version", version)
    monkeypatch.setattr(report, "list_onnxruntimes", lambda: {"onnxruntime-gpu": "1.31.1"})
    assert read_versions(["onnxruntime", "other"]) == {"onnxruntime": "1.31.1", "other": "0"}
    monkeypatch.setattr(report, "list_onnxruntimes", dict)
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        read_versions(["onnxruntime"])


def test_a_board_of_which_little_is_known_is_described_without_guesses(tmp_path):
    files = {"proc/device-tree/model": "NVIDIA Jetson Orin NX\0", ".dockerenv": ""}
    described = describe_board(write(tmp_path, files))
    assert (described["l4t"], described["jetpack"], described["stack"]) == (None, None, None)
    assert board_lines(described) == [
        "NVIDIA Jetson Orin NX, L4T unknown, an unknown JetPack, in a container",
        "power mode unknown, GPU unknown",
        "memory unknown, available unknown, zram 0.0 GiB, swap 0.0 GiB",
    ]
    assert json.loads(json.dumps(described)) == described


def test_another_machine_has_no_board(tmp_path):
    assert describe_board(tmp_path) is None
