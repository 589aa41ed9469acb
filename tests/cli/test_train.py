"""`spair train`: the configuration is checked, the report is strict JSON, a diverged run fails, Ctrl-C exits 130."""

import numpy as np
import pytest

from spair.runtime.images import Picture, write_image

CONFIG = """
name = "r"
task = "rain"
preset = "tiny"
[data]
photos = ["."]
[schedule]
steps = 2
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def training(monkeypatch):
    """Replace the training itself."""

    def replace(run):
        monkeypatch.setattr("spair.training.run.train", run)

    return replace


def test_options_reach_the_training_and_numbers_that_are_none_become_null(spair, training, config, tmp_path):
    seen = {}

    def run(settings, out, **options):
        print("a progress bar")
        seen.update(options, name=settings.name, out=out)
        return {"checkpoint": "c.safetensors", "steps": 2, "scores": {"psnr": 30.5, "odd": float("nan")}}

    training(run)
    done = spair("train", config, "--out", tmp_path / "runs", "--threads", 3, "--json")
    assert done.json == {"checkpoint": "c.safetensors", "steps": 2, "scores": {"psnr": 30.5, "odd": None}}
    assert seen == {"name": "r", "out": tmp_path / "runs", "progress": True, "threads": 3}
    assert "30.5000" in spair("train", config, "--out", tmp_path / "runs").out


def test_a_diverged_loss_is_a_failure(spair, training, config, tmp_path):
    def run(*arguments, **options):
        raise FloatingPointError("the loss is nan at step 3, and would be again")

    training(run)
    spair("train", config, "--out", tmp_path / "runs").refused("the loss is nan at step 3", code=1)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("not toml", "not valid TOML"),
        (CONFIG.replace("steps = 2", "steps = 0"), "schedule.steps"),
        (CONFIG.replace("[schedule]", "[schedule]\nspeed = 1"), "schedule.speed"),
        (CONFIG.replace('photos = ["."]', ""), "names neither"),
        (CONFIG, "holds no pictures"),
    ],
)
def test_a_bad_configuration_is_refused(spair, config, tmp_path, text, match):
    config.write_text(text)
    spair("train", config, "--out", tmp_path / "runs").refused(match)
    assert not (tmp_path / "runs").exists()


def test_a_missing_configuration_is_refused(spair, tmp_path):
    spair("train", tmp_path / "no.toml", "--out", tmp_path / "runs").refused("no.toml does not exist")


@pytest.fixture
def photo(tmp_path):
    """Something that can be trained on."""
    write_image(tmp_path / "photo.png", Picture(np.full((64, 64, 3), 90, np.uint8)))


def test_a_run_shows_its_progress_on_stderr_and_its_report_on_stdout(spair, config, photo, tmp_path):
    arguments = ("train", config, "--out", tmp_path / "runs", "--threads", 1, "--json")
    done = spair(*arguments)
    assert done.code == 0, done.err
    assert (done.json["steps"], set(done.json["scores"])) == (2, {"image_loss", "mask_loss"})
    assert "Epoch 0/0" in done.err
    assert spair(*arguments).json == done.json  # it is finished: reported, not trained again


def test_ctrl_c_exits_as_everywhere(spair, config, photo, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("spair.training.module.RestorationModule.training_step", interrupted)
    done = spair("train", config, "--out", tmp_path / "runs", "--json")
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[-1] == "interrupted"
