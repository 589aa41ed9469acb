"""PyTorch behind the runtime's protocols gives what the modules themselves give."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from spair.export.eager import TorchTwoStage, TorchWhole
from spair.network import SPAIR, load_checkpoint
from spair.runtime import Bundle, GateError, Restorer


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return load_checkpoint(tiny_checkpoint).model


def picture(height, width):
    ramp = np.linspace(0.1, 0.6, width, dtype=np.float32)[None, :, None] * np.ones((height, 1, 3), np.float32)
    ramp[:, ::5] += np.float32(0.3)
    return ramp


@pytest.mark.parametrize("size", [(1, 1), (37, 50), (64, 72)])
@pytest.mark.parametrize("tile", [16, 512])
def test_a_restored_picture_equals_the_network_on_the_whole(model, size, tile):
    image = picture(*size)
    result = Restorer(TorchTwoStage(model), tile=tile)(image)
    with torch.inference_mode():
        expected = model(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert np.abs(result.image - expected.image[0].permute(1, 2, 0).numpy()).max() < 1e-5
    assert (result.mask == (expected.mask[0, 0].numpy() > 0.5)).all()


def test_a_network_without_a_gate_may_change_every_pixel(model):
    ungated = SPAIR(dataclasses.replace(model.preset, gate_output=False)).eval()
    ungated.load_state_dict(model.state_dict())
    image = picture(37, 50)
    result = Restorer(TorchTwoStage(ungated), tile=16)(image)
    with torch.inference_mode():
        expected = ungated(torch.from_numpy(image).permute(2, 0, 1)[None]).image[0].permute(1, 2, 0).numpy()
    assert (expected != image).any(2)[~result.mask].all()
    assert np.abs(result.image - expected).max() < 1e-5
    assert result.tiles.skipped == 0


def test_the_test_pictures_have_clean_and_distorted_pixels(model):
    assert 0 < Restorer(TorchTwoStage(model))(picture(37, 50)).density < 1


def test_the_geometry_is_the_one_that_is_exported(model, tiny_bundle):
    assert TorchTwoStage(model).spec == Bundle.open(tiny_bundle).manifest.network
    network = json.loads((tiny_bundle / "manifest.json").read_text())["network"]
    assert network["channels"] == list(model.preset.feature_channels)


class Nested(torch.nn.Module):
    def forward(self, x):
        return {"picture": [x * 0.5], "other": x[:, :1]}


class Broken(torch.nn.Module):
    def forward(self, x):
        return x / 0


def test_the_first_tensor_of_any_output_is_the_picture():
    image = picture(11, 19)
    result = Restorer(TorchWhole(Nested(), multiple=4, halo=3), tile=8)(image)
    assert np.abs(result.image - 0.5 * image).max() < 1e-6
    assert result.mask is None


def test_values_that_are_not_finite_are_a_failed_gate():
    with pytest.raises(GateError, match="not finite"):
        Restorer(TorchWhole(Broken(), multiple=1, halo=0))(picture(8, 8))
