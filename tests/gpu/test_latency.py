"""The benchmark of engines, as far as it goes without a GPU: it says why nothing is measured."""

import sys

import pytest
import torch

from benchmarks.gpu import engines, latency


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so the benchmark would run")
def test_without_a_gpu_the_benchmark_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["latency"])
    with pytest.raises(SystemExit) as stopped:
        latency.main()
    assert stopped.value.code == 0
    assert "nothing measured: PyTorch finds no NVIDIA GPU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("capability", "packages", "expected"),
    [
        ((8, 9), {"tensorrt"}, "l4"),
        ((8, 9), {"tensorrt", "tensorrt_rtx"}, "l4"),
        ((8, 9), {"tensorrt_rtx"}, "rtx"),
        ((9, 0), {"tensorrt"}, "hopper"),
        ((9, 0), {"tensorrt_rtx"}, None),
        ((7, 0), {"tensorrt"}, None),
    ],
)
def test_the_target_fits_processor_gpu_and_tensorrt(monkeypatch, capability, packages, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(engines.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: name if name in packages else None)
    found = engines.choose_target()
    assert (found and found.name) == expected
