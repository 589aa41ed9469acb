"""The shipped checkpoints do what their cards say: they restore, and a bundle scores what PyTorch scores."""

import importlib.resources
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spair.export.eager import TorchTwoStage
from spair.network import load_checkpoint
from spair.runtime import Bundle, Restorer
from spair.runtime.shipped import find_model, list_models, make_ready
from spair.runtime.shipped.template import read_template
from spair.training.config import TrainingConfig
from spair.training.config_file import load_config
from spair.training.data.pairs import Pair
from spair.training.evaluation.metrics import luma, psnr
from spair.training.evaluation.restored import evaluate
from spair.training.simulators import SIMULATORS
from spair.training.simulators.rain import Rain, add_rain
from tests.sharing import share_bundle

pytestmark = pytest.mark.early

CONFIGS = Path(str(importlib.resources.files("spair.training"))) / "configs"
LIGHT = Rain(angle=8.0, length=22.0, width=0.8, density=0.0015, opacity=0.6, veil=0.0)
HEAVY = Rain(angle=-6.0, length=26.0, width=0.9, density=0.008, opacity=0.6, veil=0.0)


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return Path(str(importlib.resources.files("spair.network.weights") / "rain-tiny.safetensors"))


@pytest.fixture(scope="module")
def in_torch(checkpoint) -> Restorer:
    return Restorer(TorchTwoStage(load_checkpoint(checkpoint).model))


@pytest.fixture(scope="module")
def bundle_path(checkpoint, tmp_path_factory) -> Path:
    return share_bundle(tmp_path_factory, "shipped", checkpoint)


@pytest.fixture(scope="module")
def in_bundle(bundle_path):
    with Restorer.open(bundle_path, threads=1) as restorer:
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


def test_the_template_is_what_the_exporter_makes_today(bundle_path):
    """Byte for byte, where the packages that decide the bytes are those that the template was made with."""
    exported, shipped = Bundle.open(bundle_path).manifest.raw, read_template(find_model("rain").template).manifest
    tools = ("torch", "onnx", "onnxscript")
    if differing := [name for name in tools if exported["tools"][name] != shipped["tools"][name]]:
        pytest.skip(f"the templates were made with another version of {', '.join(differing)}")
    facts = set(exported) - {"parity", "tools"}
    assert {key: exported[key] for key in facts} == {key: shipped[key] for key in facts}, "run: make templates"


@pytest.mark.parametrize("model", list_models(), ids=lambda model: model.name)
def test_the_bundle_of_a_name_restores_as_pytorch_does(model):
    loaded = load_checkpoint(model.checkpoint)
    picture = SIMULATORS[loaded.task].simulate(photo()[:96, :128], np.random.default_rng(4)).image
    mine = Restorer(TorchTwoStage(loaded.model))(picture)
    with Restorer.open(make_ready(model), threads=1) as restorer:
        other = restorer(picture)
    flipped = mine.mask != other.mask  # a logit at the threshold may fall on either side
    assert mine.mask.any() and flipped.mean() < 1e-3
    if not flipped.any():
        np.testing.assert_allclose(mine.image, other.image, atol=1e-4)


def shipped() -> list[Path]:
    folder = Path(str(importlib.resources.files("spair.network.weights")))
    return sorted(folder.glob("*.safetensors"))


def test_every_task_has_a_checkpoint():
    assert {path.stem for path in shipped()} >= {f"{task}-tiny" for task in SIMULATORS}


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_the_file_says_how_it_was_trained_and_nothing_of_the_machine(path):
    loaded = load_checkpoint(path)
    training = json.loads(loaded.training)
    config = training["config"]
    assert path.stem == config["name"] == f"{loaded.task}-{loaded.model.preset.name}"
    assert training["step"] == sum(stage["steps"] for stage in config["stages"])
    assert not [text for text in strings(config["data"]) if Path(text).is_absolute()]
    assert path.stat().st_size <= 4_000_000
    assert all(torch.isfinite(value).all() for value in loaded.model.state_dict().values())
    configured = load_config(CONFIGS / f"{path.stem}.toml")
    assert without_places(configured) == without_places(TrainingConfig.model_validate(config))


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_the_card_names_the_facts(path):
    card, loaded = path.with_suffix(".md").read_text(encoding="utf-8"), load_checkpoint(path)
    parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    step = json.loads(loaded.training)["step"]
    for words in (f"# {path.stem}", f"{parameters:,}", f"{step:,} steps", f"configs/{path.stem}.toml", "Limits"):
        assert words in card, words


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_simulated_degradation_becomes_less(path):
    loaded = load_checkpoint(path)
    restore, simulator = Restorer(TorchTwoStage(loaded.model)), SIMULATORS[loaded.task]
    errors = []
    for seed in range(6):
        clean = photo()[seed : seed + 96, 40:168]
        degraded = simulator.simulate(clean, np.random.default_rng(seed)).image
        errors.append([np.square(picture - clean).mean() for picture in (degraded, restore(degraded).image)])
    before, after = np.mean(errors, axis=0)
    assert after < before


def without_places(config: TrainingConfig) -> object:
    """Return a configuration as JSON with the names of its folders alone; where they lie is not part of a run."""
    saved = config.model_dump(mode="json")
    del saved["data"]["roots"]
    return shorten(saved)


def shorten(value: object) -> object:
    """Return a JSON value with the last part of each path; clean/train is what the root photos is now."""
    if isinstance(value, dict):
        return {key: shorten(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shorten(part) for part in value]
    if not isinstance(value, str):
        return value
    return "${photos}" if value.endswith("/clean/train") else value.rpartition("/")[2]


def strings(value: object) -> list[str]:
    """All texts inside JSON."""
    if isinstance(value, (dict, list)):
        return [text for part in (value.values() if isinstance(value, dict) else value) for text in strings(part)]
    return [value] if isinstance(value, str) else []
