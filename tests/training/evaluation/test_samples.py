"""Samples are compared before they are timed, and summed up."""

import types

import numpy as np
import pytest

from spair.runtime import GateError, read_image
from spair.training.data import photos
from spair.training.data.photos import RainedPhoto
from spair.training.evaluation.samples import SampleResult, save_calibration_photos, summarise_samples, try_sample


@pytest.fixture
def sample():
    picture = np.full((40, 50, 3), 100, np.uint8)
    return RainedPhoto("p", "heavy", picture, picture)


@pytest.mark.parametrize("change", ["dropped tile", "shifted", "black"])
def test_different_results_are_never_timed(sample, change, monkeypatch):
    good = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    bad = {"shifted": np.roll(good, 1, axis=1), "black": np.zeros_like(good)}.get(change, good.copy())
    if change == "dropped tile":
        bad[:8, :8] = 100
    monkeypatch.setattr("spair.runtime.profiling.timing.take_turns", lambda *_: pytest.fail("timed"))
    result = types.SimpleNamespace(image=bad, mask=np.ones((40, 50), bool))
    with pytest.raises(GateError, match="p in heavy rain: .* no times are reported"):
        try_sample(sample, lambda image: result, lambda image: good, 1)


def test_lower_precisions_are_timed_once_and_the_others_in_turns(sample):
    order = []
    result = types.SimpleNamespace(
        image=sample.clean, mask=np.zeros((40, 50), bool), tiles=types.SimpleNamespace(skipped=1, packed=0, dense=0)
    )

    def run(name, value):
        return lambda image: order.append(name) or value

    found = try_sample(sample, run("adaptive", result), run("dense", sample.clean), 2, {"int8": run("int8", result)})
    assert order == ["adaptive", "dense", "int8", *("dense", "adaptive", "int8"), *("dense", "adaptive")]
    assert set(found.lower) == {"int8"} and found.psnr_before == 100.0 and found.tiles["skipped"] == 1


def test_summaries_add_seconds_and_average_decibels(sample):
    mask = np.zeros((40, 50), bool)
    results = [
        SampleResult(sample, sample.clean, mask, 20.0, after, dense, adaptive, {})
        for after, dense, adaptive in ((30.0, 1.0, 1.0), (34.0, 5.0, 1.0))
    ]
    summary = summarise_samples(results)["heavy"]
    assert (summary["count"], summary["psnr_y_after"], summary["speedup"]) == (2, 32.0, 3.0)


def test_photographs_for_calibration_pair_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "PHOTOS", ("chelsea.png",))
    rainy, clean = save_calibration_photos(tmp_path)
    names = [path.name for path in sorted(rainy.iterdir())]
    assert names == [path.name for path in sorted(clean.iterdir())] == ["chelsea-heavy.png", "chelsea-light.png"]
    assert (read_image(rainy / names[0]).pixels != read_image(clean / names[0]).pixels).any()
