"""Layers are those of the graphs a restorer runs, as often as it runs them, and no trace file is left behind."""

import numpy as np
import pytest

from spair.runtime import Bundle, UserError
from spair.runtime.backends.onnxruntime import OnnxGraph
from spair.runtime.cpu.library.compiling import find_compiler
from spair.runtime.cpu.opening import read_rows
from spair.runtime.profiling.cases import RunSetting
from spair.runtime.profiling.layers import measure_layers
from spair.runtime.profiling.masks import make_mask

IMAGE = np.random.default_rng(1).integers(0, 256, (96, 120, 3)).astype(np.uint8)
MASK = make_mask("blob", 96, 120, 0.3)


@pytest.fixture(autouse=True)
def nothing_left(tmp_path, monkeypatch):
    """Temporary files go to a folder of their own, which has to be empty in the end."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    yield
    assert list((tmp_path / "temporary").iterdir()) == []


def test_every_graph_has_its_layers(bundles):
    entries = measure_layers(bundles.packed(crossover=0.5), RunSetting(threads=1), IMAGE, MASK)
    assert [entry["graph"] for entry in entries] == ["net_l", "net_r", "net_r_packed"]
    for entry in entries:
        times = [layer["ms"] for layer in entry["layers"]]
        assert times == sorted(times, reverse=True) and times[0] > 0
        assert sum(times) <= entry["ms"] * 1.01 and sum(layer["share"] for layer in entry["layers"]) <= 1.01
        assert {row["operator"] for row in entry["operators"]} == {layer["operator"] for layer in entry["layers"]}
        assert sum(row["count"] for row in entry["operators"]) == len(entry["layers"])
    assert any(layer["what"].startswith("convolution 3x3") for layer in entries[0]["layers"])


def test_no_time_is_counted_twice_in_graphs_with_bodies_of_their_own(tiny_bundle):
    for entry in measure_layers(Bundle.open(tiny_bundle), RunSetting(threads=1), IMAGE, MASK):
        assert sum(layer["ms"] for layer in entry["layers"]) <= entry["ms"] * 1.01, entry["graph"]
        assert 0.1 < sum(layer["share"] for layer in entry["layers"]) <= 1.01, entry["graph"]


def test_the_kernels_have_the_layers_of_the_row_program(tiny_bundle):
    """Each step once, with its share, and as often as there are pieces."""
    if find_compiler() is None:
        pytest.skip("a C++ compiler is not installed")
    bundle = Bundle.open(tiny_bundle)
    program = read_rows(bundle, "fp32")
    whole, pieces = (
        measure_layers(bundle, RunSetting(threads=1, tile=tile, backend="cpu"), IMAGE, MASK) for tile in (None, 32)
    )
    assert [entry["graph"] for entry in whole] == ["net_l (kernels)", "net_r (kernels)"]
    assert [entry["calls"] for entry in whole] == [1, 1] and pieces[1]["calls"] > 1
    for entry, steps in zip(whole, (program.net_l, program.net_r), strict=True):
        assert {layer["name"] for layer in entry["layers"]} == {getattr(step, "name", step.out) for step in steps}
        times = [layer["ms"] for layer in entry["layers"]]
        assert times == sorted(times, reverse=True) and sum(times) == pytest.approx(entry["ms"])
        assert sum(layer["share"] for layer in entry["layers"]) == pytest.approx(1.0)
        assert sum(row["count"] for row in entry["operators"]) == len(steps)
    first = next(layer for layer in whole[1]["layers"] if layer["name"] == "net_r.scm.0.pairs.0.first")
    assert first["what"] == "48 -> 48, 3x3" and first["operator"] == "ConvolveRows"


def test_an_absent_precision_is_refused(bundles):
    with pytest.raises(UserError, match="has no fp16 graph"):
        measure_layers(bundles.spair(), RunSetting("fp16", threads=1), IMAGE, MASK)


def test_a_tile_that_is_refused_leaves_no_graph_open(bundles, monkeypatch):
    opened, closed = [], []
    start, close = OnnxGraph.__init__, OnnxGraph.close
    monkeypatch.setattr(OnnxGraph, "__init__", lambda self, *a, **k: (opened.append(self), start(self, *a, **k))[1])
    monkeypatch.setattr(OnnxGraph, "close", lambda self: (closed.append(self), close(self))[1])
    with pytest.raises(UserError, match="a tile of 1 pixels is too small"):
        measure_layers(bundles.spair(), RunSetting(threads=1, tile=1), IMAGE, MASK)
    assert len(opened) == 2 and set(map(id, opened)) == set(map(id, closed))


def test_small_pieces_run_a_graph_several_times_for_one_picture(bundles):
    bundle = bundles.spair()
    whole, pieces = (
        {
            entry["graph"]: entry["calls"]
            for entry in measure_layers(bundle, RunSetting(threads=1, tile=tile), IMAGE, MASK)
        }
        for tile in (None, 16)
    )
    assert whole["net_r"] == 1 < pieces["net_r"]
    assert set(pieces) == {"net_l", "net_r"}, "there is no packed graph"


def test_a_foreign_network_has_one_graph(bundles):
    (entry,) = measure_layers(bundles.other(), RunSetting(threads=1), IMAGE, None)
    assert entry["graph"] == "model" and len(entry["layers"]) >= 5
