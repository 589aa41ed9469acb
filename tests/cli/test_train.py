"""`spair train`: the configuration is checked, the report is strict JSON, a diverged run fails, Ctrl-C exits 130."""

import sys

import numpy as np
import pytest

from spair.runtime.images import Picture, write_image

STOPPED = "stopped: the same command continues after the last epoch that was saved"

CONFIG = """
name = "r"
task = "rain"
preset = "tiny"
[data]
photos = ["."]
simulate = 1.0
[[stages]]
train = "net_l"
steps = 1
patch = 16
[[stages]]
train = "both"
steps = 1
patch = 16
[hardware]
workers = 0
"""

ROOTS = """
[data.roots]
wet = "somewhere"
dry = {}
"""

REPORT = {
    "checkpoint": "c.safetensors",
    "steps": 2,
    "scores": {"psnr": 30.5, "odd": float("nan")},
    "held_out": None,
    "steps_per_second": 4.0,
    "data_share": 0.0123,
    "rank": 0,
}


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


def test_options_reach_the_training(spair, training, config, tmp_path):
    from spair.training.run import Devices

    seen = []

    def run(settings, out, **options):
        print("a progress bar")
        seen.append({**options, "name": settings.name, "out": out})
        return REPORT

    training(run)
    spair("train", config, "--out", tmp_path / "runs")
    options = ("--accelerator", "gpu", "--devices", 4, "--nodes", 2, "--threads", 3)
    done = spair("train", config, "--out", tmp_path / "runs", *options, "--json")
    expected = {"name": "r", "out": tmp_path / "runs", "progress": True}
    assert seen == [
        {**expected, "devices": Devices("auto", 1, 1, None)},
        {**expected, "devices": Devices("gpu", 4, 2, 3)},
    ]
    assert "a progress bar" in done.err


@pytest.mark.parametrize("option", [("--accelerator", "npu"), ("--devices", 0), ("--nodes", 0)])
def test_devices_that_do_not_exist_are_refused(spair, training, config, option):
    training(lambda *arguments, **options: REPORT)
    done = spair("train", config, *option)
    assert (done.code, done.out) == (2, "")
    assert option[0] in done.err


def test_numbers_that_are_none_become_null(spair, training, config, tmp_path):
    training(lambda *arguments, **options: REPORT)
    done = spair("train", config, "--out", tmp_path / "runs", "--json")
    shown = {name: value for name, value in REPORT.items() if name != "rank"}
    assert done.json == {**shown, "scores": {"psnr": 30.5, "odd": None}}


def test_the_report_for_people(spair, training, config, tmp_path):
    training(lambda *arguments, **options: REPORT)
    out = spair("train", config, "--out", tmp_path / "runs").out
    assert "checkpoint c.safetensors after 2 steps" in out
    assert "4.00 steps per second, 1.2% of the time waiting" in out
    assert "30.5000" in out and "nan" not in out
    training(lambda *arguments, **options: {**REPORT, "steps_per_second": None, "data_share": None})
    out = spair("train", config, "--out", tmp_path / "runs").out
    assert "30.5000" in out and "per second" not in out


def test_the_report_shows_held_out_pictures_before_and_after(spair, training, config, tmp_path):
    row = {"name": "wet/a", "psnr_y": 31.25, "ssim_y": 0.9375, "input": {"psnr_y": 25.0, "ssim_y": 0.75}}
    held = {**row, "protocol": "rain", "count": 1, "images": [row], "folder": "held-out", "pictures": ["wet-a.png"]}
    training(lambda *arguments, **options: {**REPORT, "checkpoint": "runs/r/r.safetensors", "held_out": held})
    out = spair("train", config, "--out", tmp_path / "runs").out
    lines = [line.split() for line in out.splitlines()]
    assert ["wet/a", "25.00", "31.25", "+6.25", "0.750", "0.938"] in lines
    assert ["mean", "of", "1", "25.00", "31.25", "+6.25", "0.750", "0.938"] in lines
    assert ["runs/r/held-out/wet-a.png"] in lines


def test_the_report_says_what_to_do_next(spair, training, config, tmp_path):
    training(lambda *arguments, **options: {**REPORT, "checkpoint": "runs/r/r.safetensors"})
    out = spair("train", config, "--out", tmp_path / "runs").out
    assert "spair export runs/r/r.safetensors --out r.spair\n" in out
    assert "spair restore r.spair PHOTOS --out restored\n" in out


def test_data_roots_reach_the_configuration(spair, training, config, tmp_path):
    seen = []

    def run(settings, out, **options):
        seen.append(settings.data.locate().photos)
        return REPORT

    training(run)
    config.write_text(CONFIG.replace('["."]', '["${wet}/a", "${dry}"]').replace("[[stages]]", ROOTS + "[[stages]]", 1))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    given = ("--data", f"wet={tmp_path / 'one'}", "--data", f"dry={tmp_path / 'other'}")
    done = spair("train", config, "--out", tmp_path / "runs", *given)
    assert done.code == 0, done.err
    assert seen == [(tmp_path / "one" / "a", tmp_path / "other")]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["wet"], "--data wet has the wrong form; expected NAME=FOLDER"),
        (["wet="], "--data wet= has the wrong form"),
        (["=there"], "--data =there has the wrong form"),
        (["wet=a", "wet=b"], "gives the data root wet twice, as a and b; give it once"),
        (["dry=there"], "--data dry=there is for no data root of this configuration; it has no data roots"),
    ],
)
def test_data_roots_that_cannot_be_meant_are_refused(spair, config, tmp_path, given, match):
    options = [part for text in given for part in ("--data", text)]
    spair("train", config, "--out", tmp_path / "runs", *options).refused(match)


def test_a_missing_data_root_is_refused_before_anything_is_written(spair, tmp_path, monkeypatch):
    for name in ("SPAIR_RAIN", "SPAIR_PHOTOS"):
        monkeypatch.delenv(name, raising=False)
    done = spair("train", "rain-tiny-start", "--out", tmp_path / "runs")
    done.refused(r"data root rain has no folder.*--data rain=FOLDER \(or set SPAIR_RAIN\) with pairs of Rain100L")
    assert not (tmp_path / "runs").exists()


def test_only_the_first_process_of_several_reports(spair, training, config, tmp_path):
    training(lambda *arguments, **options: {**REPORT, "rank": 1})
    done = spair("train", config, "--out", tmp_path / "runs", "--json")
    assert (done.code, done.out) == (0, "")


def test_a_diverged_loss_is_a_failure(spair, training, config, tmp_path):
    def run(*arguments, **options):
        raise FloatingPointError("the loss is nan at step 3, and would be again")

    training(run)
    spair("train", config, "--out", tmp_path / "runs").refused("the loss is nan at step 3", code=1)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("not toml", "not valid TOML"),
        (CONFIG.replace("steps = 1", "steps = 0"), "stages.0.steps"),
        (CONFIG.replace("[hardware]", "[hardware]\nspeed = 1"), "hardware.speed"),
        (CONFIG.replace('photos = ["."]', ""), "simulate needs clean pictures"),
        (CONFIG, "holds no pictures"),
    ],
)
def test_a_bad_configuration_is_refused(spair, config, tmp_path, text, match):
    config.write_text(text)
    spair("train", config, "--out", tmp_path / "runs").refused(match)
    assert not (tmp_path / "runs").exists()


def test_a_missing_configuration_is_refused(spair, tmp_path):
    spair("train", tmp_path / "no.toml", "--out", tmp_path / "runs").refused("no.toml does not exist")


def test_a_batch_that_devices_cannot_share_is_refused_before_anything_is_written(spair, config, photo, tmp_path):
    done = spair("train", config, "--out", tmp_path / "runs", "--accelerator", "cpu", "--devices", 3)
    done.refused("stages.0.batch = 8 cannot be split evenly over 3 devices; make it a multiple")
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def photo(tmp_path):
    """Something that can be trained on."""
    write_image(tmp_path / "photo.png", Picture(np.full((64, 64, 3), 90, np.uint8)))


def test_a_run_shows_its_progress_on_stderr_and_its_report_on_stdout(spair, config, photo, tmp_path):
    arguments = ("train", config, "--out", tmp_path / "runs", "--threads", 1, "--json")
    done = spair(*arguments)
    assert done.code == 0, done.err
    assert (done.json["steps"], set(done.json["scores"])) == (2, {"image_loss", "mask_loss"})
    assert set(done.json) == {"checkpoint", "steps", "scores", "held_out", "steps_per_second", "data_share"}
    assert done.json["held_out"] is None
    assert "training on 1 clean photograph; none held out; starting" in done.err
    assert "stage 2 of 2 (both)" in done.err
    again = {**done.json, "steps_per_second": None, "data_share": None}
    assert spair(*arguments).json == again  # it is finished: reported, not trained again


def test_ctrl_c_exits_as_everywhere(spair, config, photo, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("spair.training.loop.module.RestorationModule.training_step", interrupted)
    done = spair("train", config, "--out", tmp_path / "runs", "--json")
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[-2:] == [STOPPED, "interrupted"]


def test_sigterm_is_no_success(spair, training, config, tmp_path):
    def run(*arguments, **options):
        sys.exit(143)

    training(run)
    done = spair("train", config, "--out", tmp_path / "runs")
    assert (done.code, done.out, done.err.splitlines()[-1]) == (143, "", STOPPED)
