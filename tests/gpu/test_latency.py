"""The benchmark of engines, as far as it goes without a GPU: what it says, what it feeds, and the names it calls."""

import ast
import inspect
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from benchmarks.gpu import latency
from benchmarks.gpu.harness import engine_runner, engines
from spair.runtime import Bundle


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so the benchmark would run")
def test_without_a_gpu_the_benchmark_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["latency"])
    with pytest.raises(SystemExit) as stopped:
        latency.main()
    assert stopped.value.code == 0
    assert "nothing measured: PyTorch finds no NVIDIA GPU" in capsys.readouterr().err


def test_a_single_timing_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["latency", "--repeat", "1"])
    with pytest.raises(SystemExit) as stopped:
        latency.main()
    assert stopped.value.code == 2
    assert "--repeat must be 2 at least, got 1" in capsys.readouterr().err


def test_without_triton_a_library_has_to_be_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(engines, "choose_target", lambda: engines.TARGETS[0])
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: name if name != "triton" else None)
    monkeypatch.delenv(engines.LIBRARY, raising=False)
    assert "let $SPAIR_GPU_LIBRARY name a libspair_plugins.so" in str(engines.find_reason())
    monkeypatch.setenv(engines.LIBRARY, "lib.so")
    assert engines.find_reason() is None


@pytest.mark.parametrize(("width", "height"), [(160, 128), (33, 17), (1, 1)])
def test_more_of_the_picture_is_wet_the_larger_the_part(width, height):
    dry, half, wet = (latency.make_picture(width, height, part, "cpu") for part in (0.0, 0.5, 1.0))
    assert dry.shape == (1, 3, height, width) and dry.dtype == torch.float32
    assert dry.min() >= 0 and wet.max() <= 1
    changed = [(picture != dry).any(1).sum().item() for picture in (half, wet)]
    assert 0 <= changed[0] <= changed[1]
    if width > 100:
        assert 0 < changed[0] < changed[1]
        assert torch.equal(half[:, :, height // 2 :], dry[:, :, height // 2 :])


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_graphs_of_fewer_bits_that_engines_are_compared_on_do_run(tiny_bundle, tmp_path, precision):
    graph = engines.convert(Bundle.open(tiny_bundle), precision, tmp_path / "model.onnx")
    image = latency.make_picture(64, 48, 1.0, "cpu").numpy()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    restored, mask = session.run(["restored", "mask"], {"image": image})
    assert np.isfinite(restored).all() and np.isin(mask, (0, 1)).all() and mask.any()
    assert np.abs(restored - image).max() > 0, "the network changes something, so that engines can be told apart"


def test_the_runner_calls_what_tensorrt_has():
    """Names only; what the calls do needs a GPU."""
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX has the same names: pip install 'spair-rt[rtx]'")
    places = {
        "_trt": trt,
        "trt": trt,
        "_runtime": trt.Runtime,
        "_engine": trt.ICudaEngine,
        "_context": trt.IExecutionContext,
        "config": trt.IRuntimeConfig,
        "strategy": trt.DynamicShapesKernelSpecializationStrategy,
    }
    called = set()
    for node in ast.walk(ast.parse(inspect.getsource(engine_runner))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if owner in places:
                called.add((owner, node.attr))
    assert len(called) > 15
    assert [(owner, name) for owner, name in sorted(called) if not hasattr(places[owner], name)] == []


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
