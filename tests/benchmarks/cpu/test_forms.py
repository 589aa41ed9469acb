"""Both forms are compared before they are timed."""

import json
import sys
import time

import pytest

from benchmarks.cpu import forms
from spair.runtime import Bundle
from spair.runtime.backends import onnxruntime as backend
from spair.runtime.errors import GateError


def test_the_report_has_a_ratio_of_every_graph(tiny_bundle, tmp_path, monkeypatch, capsys):
    file = tmp_path / "report.json"
    monkeypatch.setattr("spair.runtime.profiling.costs.SIDE", 64)
    options = ["--size", "40x24", "--densities", "0.2", "--repeat", "1", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["forms", "--bundle", str(tiny_bundle), *options])
    assert forms.main() == 0
    report = json.loads(file.read_text())
    names = [row["name"] for row in report["rows"]]
    packed = "net_r_packed, streaks 20%, int8"
    assert names == ["net_l, fp32", "net_r, fp32", "model, fp32", packed, f"{packed} against fp32"]
    assert all(row["ratio"] == pytest.approx(row["as_written_ms"] / row["form_ms"]) for row in report["rows"])
    assert 0 <= report["crossover"] <= 1
    assert "packed costs less than dense below" in capsys.readouterr().out


def test_a_form_that_differs_is_not_timed(tiny_bundle, monkeypatch):
    monkeypatch.setattr(backend, "make_lean", lambda content: content.replace(b"Relu", b"Tanh", 1))
    with pytest.raises(GateError, match="net_l differs between both forms; no times are reported"):
        forms.compare_dense(Bundle.open(tiny_bundle), "net_l", (16, 16), 1, 1, time.process_time)
