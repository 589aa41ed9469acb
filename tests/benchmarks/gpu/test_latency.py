"""The benchmark of engines on the emulated GPU: what it compares, measures, refuses and says."""

import json
import sys

import numpy as np
import pytest

from benchmarks.gpu import latency
from benchmarks.gpu.harness.engines import open_sparse
from spair.runtime.engine.errors import EngineError
from spair.runtime.engine.graph import EngineGraph
from spair.runtime.errors import GateError

SIZE = (64, 48)


def run(monkeypatch, *words: str) -> int:
    """Run the benchmark and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["latency", *words])
    try:
        latency.main()
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_without_a_gpu_the_benchmark_says_so(monkeypatch, capsys):
    monkeypatch.setattr(latency, "find_reason", lambda: "there is no NVIDIA driver on this machine")
    assert run(monkeypatch) == 0
    assert capsys.readouterr().err == "nothing measured: there is no NVIDIA driver on this machine\n"


def test_a_single_timing_is_refused(monkeypatch, capsys):
    assert run(monkeypatch, "--repeat", "1") == 2
    assert "--repeat must be 2 at least, got 1" in capsys.readouterr().err


def test_each_precision_is_built_compared_and_measured(machine, tiny_bundle, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(latency, "PARTS", (0.0, 1.0))
    report, machine.jobs[:] = tmp_path / "gpu.json", []
    words = ["--bundle", str(tiny_bundle), "--size", "64x48", "--repeat", "2", "--json", str(report)]
    assert run(monkeypatch, *words) == 0, capsys.readouterr().err
    rows = json.loads(report.read_text())["rows"]
    assert [row["precision"] for row in rows] == ["fp32", "fp32"]
    assert all({"p50", "p90", "p99"} == row[side].keys() for row in rows for side in ("sparse_ms", "dense_ms"))
    assert all(row["mean_error"] <= 1e-3 for row in rows) and rows[1]["density"] > 0
    assert [bool(job["library"]) for job in machine.jobs] == [True, True, True, False], "the last one is dense"
    assert all(job["inputs"]["image"][2] == [1, 48, 64, 3] for job in (machine.jobs[0], machine.jobs[-1]))
    assert "times as fast" in capsys.readouterr().out


def test_engines_that_disagree_are_not_timed(machine, built, monkeypatch):
    timed = []
    monkeypatch.setattr(latency, "time_replays", lambda *given: timed.append(given))
    with open_sparse(built.get("fp32"), "fp32") as sparse:

        class Wrong(EngineGraph):
            def __init__(self) -> None:
                pass

            def run(self, feeds):
                values = sparse.run(feeds)
                return {**values, "restored": np.roll(values["restored"], 1, axis=1)}

        with pytest.raises(GateError, match="fp32: sparse and dense differ by .*; nothing was timed"):
            latency.measure(sparse, Wrong(), "fp32", SIZE, 2)
    assert not timed


def test_an_engine_that_is_not_captured_is_not_timed(machine, gpu, built):
    gpu.fail("cuStreamBeginCapture_v2", 900, times=9)
    refused = pytest.raises(EngineError, match="the engine was not captured as a CUDA graph: ")
    with open_sparse(built.get("fp32"), "fp32") as sparse, refused:
        latency.time_replays(sparse, latency.draw_rain(*SIZE, 1.0), 2)


def test_a_refusal_is_a_sentence_and_an_exit_code(machine, monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, "--bundle", str(tmp_path / "none.spair"), "--size", "64x48") == 2
    assert capsys.readouterr().err.startswith("error: ")
