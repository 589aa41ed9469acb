"""Every packing computes the dense layer, whatever the mask; a wrong one is not timed."""

import json
import sys

import numpy as np
import pytest

from benchmarks import packings
from benchmarks.packings import WAYS, Layer, dense, open_way
from spair.runtime.profiling.masks import make_mask


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("shape", "density"), [("streak", 0.1), ("blob", 0.4), ("uniform", 1 / 1024), ("blob", 1.0)])
def test_every_way_is_the_dense_layer(way, shape, density, monkeypatch):
    monkeypatch.setattr(packings, "BLOCK", 7)  # so that blocks are filled up
    layer = Layer(5, make_mask(shape, 32, 32, density))
    np.testing.assert_allclose(open_way(WAYS[way], layer, 1)(), dense(layer), atol=1e-5)


def test_the_dense_layer_is_a_convolution_of_what_is_active():
    import torch

    layer = Layer(3, make_mask("blob", 16, 24, 0.3))
    x = np.zeros((3, 16, 24), np.float32)
    x[:, layer.mask] = layer.rows[1:].T
    weight, bias = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
    expected = torch.relu(torch.nn.functional.conv2d(torch.from_numpy(x)[None], weight, bias, padding=1))[0].numpy()
    np.testing.assert_allclose(dense(layer), expected[:, layer.mask].T, atol=1e-5)


SMALL = ["packings", "--channels", "3", "--side", "16", "--threads", "1", "--repeat", "1", "--masks", "blob"]


def test_the_report_has_every_way(tmp_path, monkeypatch, capsys):
    file = tmp_path / "report.json"
    monkeypatch.setattr(sys, "argv", [*SMALL, "--densities", "0.1,0.5", "--json", str(file)])
    assert packings.main() == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["density"] for row in rows] == [0.1, 0.5]
    assert all(set(row["ms"]) == set(WAYS) for row in rows)
    assert "pairs by offset" in capsys.readouterr().out


def test_a_wrong_way_fails(monkeypatch, capsys):
    def shifted(layer):
        emit, result, feeds = packings.rows_at_once(layer)
        return emit, result, {**feeds, "table": np.roll(layer.table, 1, axis=1)}

    monkeypatch.setattr(packings, "WAYS", {"shifted": shifted})
    monkeypatch.setattr(sys, "argv", SMALL)
    assert packings.main() == 1
    assert "shifted, blob 0.02, differs" in capsys.readouterr().err
