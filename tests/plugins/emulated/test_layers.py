"""The layers that the benchmark of plugins times, small and on the emulated driver: each equals its definition."""

import pytest

from benchmarks.gpu import plugins
from benchmarks.gpu.harness import plugin_layers
from benchmarks.gpu.harness.plugin_layers import Scene, measure_layers
from benchmarks.subjects.layers import Attention, Modulation, SparseLayer
from spair.runtime.errors import GateError

LAYERS = [
    SparseLayer(0, 11, 20, 3, clean_input=True, residual=False, clear_output=False),
    SparseLayer(1, 16, 16, 3, clean_input=False, residual=True, clear_output=True),
    SparseLayer(0, 11, 20, 3, clean_input=True, residual=False, clear_output=False),
    SparseLayer(2, 16, 3, 1, clean_input=False, residual=False, clear_output=True),
    Attention(2, 8, 8, False),
    Modulation(1, 8),
]


@pytest.fixture
def untimed(monkeypatch):
    """Every run happens once and takes a millisecond."""
    monkeypatch.setattr(plugin_layers, "time_runs", lambda runs, replays: float(len([run() for run in runs])))


def test_all_kinds_of_layers_pass_their_gate(torch_host, untimed):
    scenes = [Scene("streak", (32, 24), density, 4, "cpu") for density in (0.0, 0.2, 1.0)]
    rows = list(measure_layers(torch_host, LAYERS, scenes, ("fp32", "fp16", "int8"), 1))
    assert len(rows) == 3 * (3 * 3 + 2 * 2)
    assert max(row["off"] for row in rows) <= 1
    assert [row["count"] for row in rows if row["kind"] == "int8"][:3] == [2, 2, 2]
    assert all(row["off"] > 0 for row in rows if row["kind"] == "fp16" and row["asked"] == 0.2)
    plugins.show_layers(rows)
    plugins.show_sums(plugins.sum_layers(rows))


def test_a_wrong_layer_is_not_timed(torch_host, untimed, monkeypatch):
    scene = Scene("blob", (32, 24), 0.5, 4, "cpu")
    right = plugin_layers.PluginNode.__call__
    monkeypatch.setattr(plugin_layers.PluginNode, "__call__", lambda node, inputs: right(node, inputs) * 1.01)
    for layer in LAYERS[1], LAYERS[4], LAYERS[5]:
        with pytest.raises(GateError, match="of its bound"):
            list(measure_layers(torch_host, [layer], [scene], ("fp32",), 1))
