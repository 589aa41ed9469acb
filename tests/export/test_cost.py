"""Costs of open models of each kind."""

from pathlib import Path

import pytest
import torch

from spair.export.cost import measure_model
from spair.export.eager import TorchTwoStage, TorchWhole
from spair.network import TINY
from spair.network.checkpoint import load_checkpoint
from spair.network.cost import multiply_adds
from spair.runtime import Restorer

SIDE = 256


def test_bundle_and_checkpoint_tell_the_size_of_their_preset(tiny_bundle, tiny_checkpoint):
    counts = multiply_adds(TINY, SIDE, SIDE)
    model = load_checkpoint(tiny_checkpoint).model
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        found = [measure_model(tiny_bundle, restorer.network), measure_model(tiny_checkpoint, TorchTwoStage(model))]
    for one in found:
        assert one["parameters"] == sum(value.numel() for value in model.parameters())
        assert one["multiply_adds"] == pytest.approx(counts["total"] / SIDE**2, abs=0.1)
        assert one["multiply_adds_clean"] == pytest.approx(counts["net_l"] / SIDE**2, abs=0.1)


def test_somebody_elses_module_is_run_once(tmp_path):
    network = TorchWhole(torch.nn.Conv2d(3, 3, 5, padding=2), 7, 2)
    size = {"parameters": 3 * 3 * 25 + 3, "multiply_adds": 225.0, "multiply_adds_clean": 225.0}
    assert measure_model(tmp_path / "theirs.pth", network) == size


def test_a_served_graph_does_not_tell(tmp_path):
    path = tmp_path / "model.onnx"
    path.touch()
    assert set(measure_model(path, object()).values()) == {None}
    assert measure_model(Path(path), object()).keys() == {"parameters", "multiply_adds", "multiply_adds_clean"}
