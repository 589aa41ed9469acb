"""The benchmark of calibrators: what it prints, and when it gives times."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import calibration
from spair.calibration.options import GATES_DB, Options
from spair.calibration.statistics.pictures import CalibrationPicture
from spair.runtime.images import Picture, write_image


def test_without_the_data_nothing_is_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["calibration", "--data", str(tmp_path / "absent")])
    assert calibration.main() == 0
    assert "skipped: the rain pairs are absent" in capsys.readouterr().out


def test_what_the_mask_gains_is_the_loss_with_all_pixels_less_that_with_masked_ones(capsys):
    losses = {"masked": {"sparse": 0.25, "all": 0.5}, "all": {"sparse": 1.0, "all": 0.375}}
    rows = [
        {"calibrator": name, "statistics": kind, **lost}
        for name in ("minmax", "percentile", "entropy", "mse")
        for kind, lost in losses.items()
    ]
    speed = {"parts": {"net_r": {"fp32_ms": 12.0, "ms": 8.0}}}
    times = {"fp16": {"speed": None, "loss_db": 9.0}, "int8": {"speed": speed, "loss_db": 0.0}}
    calibration.show({"statistics": {"light": rows}, "times": times})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mse,", "sparse", "layers", "0.2500", "1.0000", "0.7500"] in lines
    assert ["mse,", "all", "layers", "0.5000", "0.3750", "-0.1250"] in lines
    assert ["int8,", "net_r", "12.0", "8.0", "1.50"] in lines
    assert not any(line[:1] == ["fp16,"] for line in lines)


@pytest.mark.parametrize(
    ("losses", "timed"),
    [
        ({"fp16": GATES_DB["fp16"], "int8": GATES_DB["int8"]}, {"fp16", "int8"}),
        ({"fp16": 0.0, "int8": 2 * GATES_DB["int8"]}, {"fp16"}),
        ({"fp16": GATES_DB["int8"], "int8": GATES_DB["int8"]}, {"int8"}),
    ],
)
def test_only_a_precision_within_its_gate_is_timed(monkeypatch, tmp_path, losses, timed):
    network = SimpleNamespace(layers=[SimpleNamespace(name="a")])

    @contextlib.contextmanager
    def open_trial(*arguments):
        yield SimpleNamespace(loss=lambda plan: losses[plan.of("a")])

    monkeypatch.setattr(calibration, "observe", lambda *arguments: SimpleNamespace(histograms={}))
    monkeypatch.setattr(calibration, "open_trial", open_trial)
    monkeypatch.setattr(calibration, "build", lambda network, plan: plan.of("a"))
    monkeypatch.setattr(calibration, "time_parts", lambda network, built, *rest: {"timed": built})
    picture = CalibrationPicture("a", np.zeros((8, 8, 3), np.float32))
    found = calibration.measure_times(network, [picture], picture, Options("int8"), tmp_path)
    assert {name: part["speed"] for name, part in found.items()} == {
        name: {"timed": name} if name in timed else None for name in ("fp16", "int8")
    }
    assert {name: part["loss_db"] for name, part in found.items()} == losses


def test_pairs_are_the_first_by_number_with_the_clean_picture_of_the_light_ones(tmp_path):
    for folder, level in (("heavy/input", 10), ("light/target", 90)):
        (tmp_path / folder).mkdir(parents=True)
        for number in (1, 2, 3, 10, 20):
            write_image(tmp_path / folder / f"{number}.png", Picture(np.full((40, 40, 3), level + number, np.uint8)))
    pictures = calibration.read_rain(tmp_path, "heavy", 4, Options("int8", tile=32), tmp_path / "linked")
    found = {
        picture.name: (round(picture.pixels[0, 0, 0] * 255), round(picture.target[0, 0, 0] * 255))
        for picture in pictures
    }
    assert found == {f"{number}.png": (10 + number, 90 + number) for number in (1, 2, 3, 10)}
