"""The shipped checkpoint does what the README says: it restores, and its bundle scores what PyTorch scores."""

import importlib.resources
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spair.export import export_checkpoint
from spair.network import load_checkpoint
from spair.runtime import Restorer
from spair.training.evaluation import evaluate
from spair.training.metrics import luma, psnr
from spair.training.pairs import Pair
from spair.training.simulators.rain import Rain, add_rain
from spair.training.torch_network import TorchTwoStage

LIGHT = Rain(angle=8.0, length=22.0, width=0.8, density=0.0015, opacity=0.6, veil=0.0)
HEAVY = Rain(angle=-6.0, length=26.0, width=0.9, density=0.008, opacity=0.6, veil=0.0)


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return Path(str(importlib.resources.files("spair.network.weights") / "rain-tiny.safetensors"))


@pytest.fixture(scope="module")
def in_torch(checkpoint) -> Restorer:
    return Restorer(TorchTwoStage(load_checkpoint(checkpoint).model))


@pytest.fixture(scope="module")
def in_bundle(checkpoint, tmp_path_factory):
    bundle = tmp_path_factory.mktemp("shipped") / "rain-tiny.spair"
    export_checkpoint(checkpoint, bundle)
    with Restorer.open(bundle, threads=1) as restorer:
        yield restorer


def photo() -> np.ndarray:
    from skimage import data

    return (data.astronaut()[40:240, 100:300] / np.float32(255)).astype(np.float32)


@pytest.mark.parametrize(("rain", "gain"), [(LIGHT, 3.0), (HEAVY, 4.0)], ids=["light", "heavy"])
def test_simulated_rain_is_removed_from_a_photograph(in_torch, rain, gain):
    clean = photo()
    rainy = add_rain(clean, rain, np.random.default_rng(5)).image
    result = in_torch(rainy)
    before, after = (psnr(luma(picture), luma(clean)) for picture in (rainy, result.image))
    assert after > before + gain
    assert np.array_equal(result.image[~result.mask], rainy[~result.mask])


def test_pytorch_and_the_bundle_restore_alike(in_torch, in_bundle):
    rainy = add_rain(photo(), LIGHT, np.random.default_rng(6)).image
    mine, other = in_torch(rainy), in_bundle(rainy)
    flipped = mine.mask != other.mask  # a logit at the threshold may fall on either side
    assert flipped.mean() < 1e-3
    if not flipped.any():
        np.testing.assert_allclose(mine.image, other.image, atol=1e-4)


@pytest.mark.data
@pytest.mark.parametrize(("folder", "gain"), [("light", 3.0), ("heavy", 6.0)])
def test_real_pairs_score_above_their_input_and_the_same_from_pytorch_and_bundle(
    in_torch, in_bundle, data_dir, folder, gain
):
    target = data_dir / "rain" / "light" / "target"
    pairs = [
        Pair(stem, data_dir / "rain" / folder / "input" / f"{stem}.png", target / f"{stem}.png") for stem in ("1", "33")
    ]
    reports = [evaluate(restore, pairs) for restore in (in_torch, in_bundle)]
    for report in reports:
        assert report["psnr_y"] > report["input"]["psnr_y"] + gain
        assert report["ssim_y"] > report["input"]["ssim_y"]
    assert reports[0]["psnr_y"] == pytest.approx(reports[1]["psnr_y"], abs=0.01)


def test_the_file_says_how_it_was_trained_and_nothing_of_the_machine(checkpoint):
    loaded = load_checkpoint(checkpoint)
    training = json.loads(loaded.training)
    assert loaded.task == "rain"
    assert training["step"] == training["config"]["schedule"]["steps"]
    assert not [
        path for pair in training["config"]["data"]["pairs"] for path in pair.values() if Path(path).is_absolute()
    ]
    assert checkpoint.with_suffix(".md").is_file()
    assert checkpoint.stat().st_size <= 4_000_000
    assert all(torch.isfinite(value).all() for value in loaded.model.state_dict().values())
