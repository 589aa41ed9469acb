"""The benchmark of plugins without TensorRT, as far as it goes without a GPU: what it says, compares and adds up."""

import dataclasses
import platform
import sys

import onnx
import pytest
import torch

from benchmarks.gpu import plugins
from benchmarks.gpu.harness import plugin_host, plugin_network
from benchmarks.gpu.harness.executor import Executor, dense_operator
from benchmarks.gpu.harness.precisions import convert
from spair.export.engines.graph import prepare_engine_graph
from spair.network import load_checkpoint
from spair.plugins.compiler.library.embedding import Label
from spair.runtime import Bundle
from spair.runtime.errors import GateError


@dataclasses.dataclass
class Replayed:
    """In place of a CUDA graph: runs again, into the memory of the first results."""

    run: object
    outputs: object

    def replay(self) -> None:
        again = self.run()
        if isinstance(again, dict):
            for name, value in self.outputs.items():
                value.copy_(again[name])


@pytest.fixture
def on_cpu(monkeypatch):
    """The network's measurement without a GPU: every replay takes a millisecond."""

    def capture(runs):
        outputs = [run() for run in runs]
        return Replayed(runs[0], outputs[0]), outputs

    def time_replays(graph, replays):
        graph.replay()
        return 1.0

    monkeypatch.setattr(plugin_network, "capture", capture)
    monkeypatch.setattr(plugin_network, "time_replays", time_replays)
    monkeypatch.setattr(plugin_network, "PARTS", (0.0, 1.0))
    monkeypatch.setattr(plugin_network, "GATE_SIZES", ((64, 48), (33, 17)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so the benchmark would run")
def test_without_a_gpu_the_benchmark_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plugins"])
    assert plugins.main() == 0
    assert "nothing measured: PyTorch finds no NVIDIA GPU" in capsys.readouterr().err


def test_what_is_missing_unreadable_or_for_another_gpu_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setenv(plugin_host.LIBRARY, str(tmp_path / "none.so"))
    harness = tmp_path / "harness.so"
    monkeypatch.setenv(plugin_host.HARNESS, str(harness))
    assert "cannot read the plugin library" in str(plugin_host.find_reason())
    label = Label("1.0", 1, "hopper", platform.machine(), (90,), 90, (12, 0), (10, 3))
    monkeypatch.setattr(plugin_host, "read_label", lambda path: label)
    assert "is built for hopper on" in str(plugin_host.find_reason())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    assert f"names {harness}, which is not a file" in str(plugin_host.find_reason())
    harness.touch()
    assert plugin_host.find_reason() is None


def test_sizes_that_the_network_would_pad_are_refused_for_layers(capsys):
    with pytest.raises(SystemExit):
        plugins.parse_arguments(["--size", "1281x720"])
    assert "--size must have multiples of 8 for layers" in capsys.readouterr().err
    assert plugins.parse_arguments(["--size", "1281x720", "--parts", "network"]).size == (1281, 720)


@pytest.mark.parametrize("kind", ["fp32", "fp16", "int8"])
def test_the_network_is_compared_with_onnx_runtime_and_sparse_with_dense(
    on_cpu, tiny_bundle, tiny_checkpoint, tmp_path, kind
):
    bundle = Bundle.open(tiny_bundle)
    source = bundle.graph("fp32", "model") if kind == "fp32" else convert(bundle, kind, tmp_path / "fewer.onnx")
    executor = Executor(onnx.load_from_string(prepare_engine_graph(source)), "cpu", dense_operator)
    found = plugin_network.compare(executor, source, kind)
    # With fewer bits the mask of a pixel may flip, which is then restored in one of the two only; the mean is gated.
    assert 0 <= found["most"] < {"fp32": 1e-4, "fp16": 0.1, "int8": 0.5}[kind]
    assert found["mean"] < found["most"] / 10 or kind == "fp32"
    network = load_checkpoint(tiny_checkpoint).model.eval().to(plugin_network.TYPES[kind])
    contenders = plugin_network.Contenders(executor, executor, executor, network)
    rows = list(plugin_network.measure_size(contenders, kind, (64, 48), 2))
    assert [row["rain"] for row in rows] == [0.0, 1.0]
    for row in rows:
        mask = executor.run(plugin_network.make_picture(64, 48, row["rain"], "cpu"))["mask"]
        assert row["density"] == pytest.approx(mask.float().mean().item())
    plugins.show_network([{"gate": kind, **found}, *rows])


def test_a_wrong_network_is_not_reported(on_cpu, tiny_bundle, tiny_checkpoint):
    source = Bundle.open(tiny_bundle).graph("fp32", "model")
    graph = onnx.load_from_string(prepare_engine_graph(source))

    def wrong(name, attributes):
        right = dense_operator(name, attributes)
        return (lambda inputs: 0.5 * right(inputs)) if name.startswith("SparseConv2d") else right

    executor, dense = Executor(graph, "cpu", wrong), Executor(graph, "cpu", dense_operator)
    with pytest.raises(GateError, match="from ONNX Runtime, allowed 1.00e-04"):
        plugin_network.compare(executor, source, "fp32")
    network = load_checkpoint(tiny_checkpoint).model.eval()
    with pytest.raises(GateError, match="sparse and dense differ by"):
        contenders = plugin_network.Contenders(executor, dense, dense, network)
        list(plugin_network.measure_size(contenders, "fp32", (64, 48), 2))


def test_layers_are_added_up_as_often_as_the_network_has_them():
    one = {"form": "listed", "kind": "fp16", "mask": "blob", "asked": 0.1}
    one |= {f"{name}{end}_ms": 1.0 for name in ("model", "model_dense") for end in ("", "_low", "_high")}
    rows = [
        {**one, "count": 2, "sparse_ms": 1.0, "dense_ms": 3.0},
        {**one, "count": 1, "sparse_ms": 2.0, "dense_ms": 4.0},
    ]
    (total, _) = plugins.sum_layers([*rows, {**rows[0], "form": "alone"}])
    assert (total["sparse_ms"], total["dense_ms"], total["model_ms"]) == (4.0, 10.0, 3.0)
    plugins.show_sums([total])
