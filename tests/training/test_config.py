"""Configurations: refusals in one sentence, and what of them is saved."""

from pathlib import Path

import pytest

from spair.training.config import load_config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 5", "steps = 0", r"schedule.steps: Input should be greater than 0, got 0"),
        ("batch = 1", "batches = 1", r"schedule.batches: Extra inputs are not permitted"),
        ("patch = 16", "patch = 20", "multiple of 8, got 20"),
        ('task = "rain"', 'task = "snow"', "task: Input should be 'rain'"),
        ('preset = "tiny"', 'preset = "huge"', "preset: Input should be 'tiny', 'base' or 'large'"),
        ('name = "test"', 'name = "a/b"', "name: String should match pattern"),
        ('name = "test"', "", "name: Field required; correct it"),
        ("[data]", "[data", "is not valid TOML"),
        (
            "transplant = 0.5",
            "transplant = 0.9",
            "data: transplant = 0.9 and simulate = 0.2 .* at most 1; corr",
        ),
    ],
)
def test_a_wrong_configuration_is_one_sentence(configure, refuse, old, new, message):
    refuse(message, configure, (old, new))


@pytest.mark.parametrize("shares", [(0.7, 0.3), (0.9, 0.1), (0.55, 0.45), (1.0, 0.0), (0.0, 1.0)])
def test_shares_may_add_up_to_the_whole(configure, shares):
    data = configure(transplant=shares[0], simulate=shares[1]).data
    assert (data.transplant, data.simulate) == shares


def test_a_missing_configuration_and_one_without_pictures_are_refused(tmp_path, refuse):
    refuse("does not exist; see training/configs", load_config, tmp_path / "none.toml")
    (tmp_path / "empty.toml").write_text('name="a"\ntask="rain"\npreset="tiny"\n[data]\n[schedule]\nsteps=1\n')
    refuse("names neither data.pairs nor data.photos", load_config, tmp_path / "empty.toml")


def test_paths_are_saved_as_written_and_located_beside_the_file(configure, folder, monkeypatch):
    data = configure(('["photos"]', '["../more/photos", "photos"]')).data
    saved = data.model_dump(mode="json")
    assert saved["pairs"] == [{"input": "rainy", "target": "clean"}]
    assert saved["photos"] == ["../more/photos", "photos"]
    monkeypatch.chdir("/")  # where the process runs does not matter
    located = data.locate()
    assert located.pairs[0].input == folder / "rainy"
    assert located.photos == (folder / "../more/photos", folder / "photos")


def test_of_absolute_paths_the_last_two_parts_are_saved(configure, folder):
    data = configure(('["photos"]', f'["{folder}/photos", "/photos"]')).data
    assert data.model_dump(mode="json")["photos"] == [f"{folder.name}/photos", "photos"]
    assert data.locate().photos == (folder / "photos", Path("/photos"))


def test_the_shipped_configuration_is_valid():
    config = load_config(Path(__file__).parents[2] / "training" / "configs" / "rain-tiny.toml")
    assert config.task == "rain"
    assert config.data.held_out
