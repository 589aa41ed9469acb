"""Every packing computes the dense case, whatever the mask; a wrong one is not timed."""

import json
import sys

import numpy as np
import pytest

from benchmarks.cpu import packings
from benchmarks.cpu.packings import PACKINGS, PackingCase, dense, open_packing
from spair.runtime.profiling.masks import make_mask


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize(("shape", "density"), [("streak", 0.1), ("blob", 0.4), ("uniform", 1 / 1024), ("blob", 1.0)])
def test_every_packing_is_the_dense_layer(name, shape, density, monkeypatch):
    monkeypatch.setattr(packings, "BLOCK", 7)  # so that blocks are filled up
    case = PackingCase(5, make_mask(shape, 32, 32, density))
    np.testing.assert_allclose(open_packing(PACKINGS[name], case, 1)(), dense(case), atol=1e-5)


def test_the_dense_layer_is_a_convolution_of_what_is_active():
    import torch

    case = PackingCase(3, make_mask("blob", 16, 24, 0.3))
    x = np.zeros((3, 16, 24), np.float32)
    x[:, case.mask] = case.rows[1:].T
    weight, bias = torch.from_numpy(case.weight), torch.from_numpy(case.bias)
    expected = torch.relu(torch.nn.functional.conv2d(torch.from_numpy(x)[None], weight, bias, padding=1))[0].numpy()
    np.testing.assert_allclose(dense(case), expected[:, case.mask].T, atol=1e-5)


SMALL = ["packings", "--channels", "3", "--side", "16", "--threads", "1", "--repeat", "1", "--masks", "blob"]


def test_the_report_has_every_packing(tmp_path, monkeypatch, capsys):
    file = tmp_path / "report.json"
    monkeypatch.setattr(sys, "argv", [*SMALL, "--densities", "0.1,0.5", "--json", str(file)])
    assert packings.main() == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["density"] for row in rows] == [0.1, 0.5]
    assert all(set(row["ms"]) == set(PACKINGS) for row in rows)
    assert "pairs by offset" in capsys.readouterr().out


def test_a_wrong_packing_fails(monkeypatch, capsys):
    def shifted(case):
        emit, result, feeds = packings.rows_at_once(case)
        return emit, result, {**feeds, "table": np.roll(case.table, 1, axis=1)}

    monkeypatch.setattr(packings, "PACKINGS", {"shifted": shifted})
    monkeypatch.setattr(sys, "argv", SMALL)
    assert packings.main() == 1
    assert "shifted, blob 0.02, differs" in capsys.readouterr().err
