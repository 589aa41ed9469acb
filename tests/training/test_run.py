"""Configurations, samples and runs: refusals, reproducible samples, resumed runs that are the same run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spair.network import load_checkpoint
from spair.runtime import Picture, UserError, write_image
from spair.training.config import TrainingConfig, load_config
from spair.training.corpus import load_corpus
from spair.training.module import RestorationModule, true_mask
from spair.training.patches import PatchDataset
from spair.training.run import STATE, train

CONFIG = """
name = "test"
task = "rain"
preset = "tiny"
[data]
pairs = [{{ input = "rainy", target = "clean" }}]
photos = ["photos"]
held_out = ["0"]
transplant = {transplant}
simulate = {simulate}
[schedule]
steps = {steps}
batch = 1
patch = 16
warm_up = 1
epoch = 2
validate_every = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs that differ in one bright column, and two photos."""
    rng = np.random.default_rng(0)
    for name in ("rainy", "clean", "photos"):
        (tmp_path / name).mkdir()
    for stem in range(3):
        clean = rng.integers(0, 200, (24, 33, 3), np.uint8)
        rainy = clean.copy()
        rainy[:, 5 + stem] += 50
        write_image(tmp_path / "clean" / f"{stem}.png", Picture(clean))
        write_image(tmp_path / "rainy" / f"{stem}.png", Picture(rainy))
        write_image(tmp_path / "photos" / f"{stem}.png", Picture(rng.integers(0, 255, (20, 17, 3), np.uint8)))
    return tmp_path


def configure(folder: Path, **values) -> TrainingConfig:
    path = folder / "run.toml"
    path.write_text(CONFIG.format(**{"transplant": 0.5, "simulate": 0.2, "steps": 5, **values}))
    return load_config(path)


def dataset(folder: Path, first: int = 0, **shares: float) -> PatchDataset:
    config = configure(folder, **shares)
    return PatchDataset(load_corpus(config.data, 16), config.data, 16, seed=1, first=first, count=20)


def test_a_sample_depends_on_its_number_in_the_run_only(folder):
    early, late = dataset(folder), dataset(folder, first=7)
    for mine, other in zip(early[9], late[2], strict=True):
        np.testing.assert_array_equal(mine, other)
    assert any(not np.array_equal(early[9][0], early[i][0]) for i in (8, 10, 11))
    with pytest.raises(IndexError):
        early[20]


@pytest.mark.parametrize("shares", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], ids=["pairs", "transplanted", "simulated"])
def test_samples_are_degraded_pictures_with_their_clean_ones(folder, shares):
    samples = [dataset(folder, transplant=shares[0], simulate=shares[1])[i] for i in range(20)]
    for degraded, clean in samples:
        assert degraded.shape == clean.shape == (3, 16, 16)
        assert degraded.dtype == clean.dtype == np.uint8
        assert degraded.astype(int).sum() >= clean.astype(int).sum()  # rain brightens
    assert any((degraded != clean).any() for degraded, clean in samples)


def test_held_out_pairs_are_not_trained_on(folder):
    corpus = load_corpus(configure(folder).data, 16)
    assert [pair.name.split("/")[1] for pair in corpus.held_out] == ["0"]
    assert [pair.name.split("/")[1] for pair in corpus.pairs] == ["1", "2"]
    assert len(corpus.photos) == 3


def test_the_true_mask_is_what_exceeds_the_threshold_in_some_channel():
    clean = torch.zeros(1, 3, 1, 4)
    degraded = clean.clone()
    degraded[0, 1, 0] = torch.tensor([0, 8, 9, 255]) / 255
    assert true_mask(degraded, clean, 8).flatten().tolist() == [0, 0, 1, 1]


def refuse(message: str, call, *args) -> None:
    with pytest.raises(UserError, match=message) as caught:
        call(*args)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 5", "steps = 0", r"schedule.steps: Input should be greater than 0, got 0"),
        ("batch = 1", "batches = 1", r"schedule.batches: Extra inputs are not permitted"),
        ("patch = 16", "patch = 20", "multiple of 8, got 20"),
        ('task = "rain"', 'task = "snow"', "task: Input should be 'rain'"),
        ('preset = "tiny"', 'preset = "huge"', "preset: Input should be 'tiny', 'base' or 'large'"),
        ('name = "test"', 'name = "a/b"', "name: String should match pattern"),
        ("[data]", "[data", "is not valid TOML"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(folder, old, new, message):
    configure(folder)
    path = folder / "run.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    refuse(message, load_config, path)


def test_a_missing_configuration_and_one_without_pictures_are_refused(tmp_path):
    refuse("does not exist; see training/configs", load_config, tmp_path / "none.toml")
    (tmp_path / "empty.toml").write_text('name="a"\ntask="rain"\npreset="tiny"\n[data]\n[schedule]\nsteps=1\n')
    refuse("names neither data.pairs nor data.photos", load_config, tmp_path / "empty.toml")


def test_unusable_data_is_named_before_training_starts(folder):
    config = configure(folder)
    (folder / "rainy" / "1.png").rename(folder / "rainy" / "9.png")
    refuse("1.png|9.png", load_corpus, config.data, 16)
    (folder / "rainy" / "9.png").rename(folder / "rainy" / "1.png")
    refuse("smaller than patch=24", load_corpus, config.data, 24)
    refuse("names 77, but no pair has that stem", load_corpus, config.data.model_copy(update={"held_out": ("77",)}), 16)
    refuse("missing or holds no pictures", load_corpus, config.data.model_copy(update={"photos": (folder / "no",)}), 16)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "test" / "test.safetensors").model.state_dict()


def test_a_run_that_was_interrupted_ends_with_the_same_weights(folder, monkeypatch):
    torch.set_num_threads(1)
    config = configure(folder)
    report = train(config, folder / "whole", progress=False)
    assert report["steps"] == 5
    assert set(report["scores"]) >= {"image_loss", "mask_loss", "psnr_y/" + folder.name}

    step = RestorationModule.training_step

    def killed(self, batch, index):
        if self.global_step == 3:  # in the middle of the second epoch
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(RestorationModule, "training_step", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(config, folder / "parts", progress=False)
    monkeypatch.setattr(RestorationModule, "training_step", step)
    assert (folder / "parts" / "test" / STATE).is_file()
    assert train(config, folder / "parts", progress=False)["steps"] == 5
    whole, parts = weights(folder / "whole"), weights(folder / "parts")
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(folder, monkeypatch):
    monkeypatch.setattr("spair.training.module.charbonnier", lambda *a: torch.tensor(float("nan")))
    with pytest.raises(FloatingPointError, match="the loss is nan at step 0"):
        train(configure(folder), folder / "runs", progress=False)


def test_the_shipped_configuration_is_valid():
    config = load_config(Path(__file__).parents[2] / "training" / "configs" / "rain-tiny.toml")
    assert config.task == "rain"
    assert config.data.held_out
