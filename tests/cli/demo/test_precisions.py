"""The demo's FP16 and INT8: calibrated on its own photographs, tried on the samples, honest where a gate is missed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spair.cli.demo import command as demo
from spair.cli.demo import precisions as demo_precisions
from spair.runtime import Bundle
from spair.training.data import photos
from tests.calibration.conftest import small_bundle  # noqa: F401
from tests.cli.demo.test_command import FACTS, small_samples

pytestmark = pytest.mark.early


@pytest.fixture
def small_job(monkeypatch, small_bundle, tmp_path):  # noqa: F811
    """The whole demo on a small network and small pictures; yields what runs it."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(photos, "CROP", 48)
    monkeypatch.setattr(photos, "PHOTOS", ("chelsea.png", "coffee.png"))
    monkeypatch.setattr(demo_precisions, "TILE", 32)
    monkeypatch.setattr(demo_precisions, "TILES", 3)
    monkeypatch.setattr("spair.calibration.speed.RUNS", 1)

    def export(checkpoint: Path, out: Path, progress: object) -> dict:
        shutil.copytree(small_bundle, out)
        return FACTS

    monkeypatch.setattr(demo, "export_bundle", export)
    monkeypatch.setattr(photos, "sample_photos", small_samples)
    return ["demo", "--checkpoint", "rain.safetensors", "--repeat", 1, "--threads", 1, "--out", tmp_path / "demo"]


def test_the_demo_calibrates_and_restores_in_every_precision(spair, small_job, tmp_path):
    report = spair(*small_job, "--json").json
    bundle = Bundle.open(tmp_path / "demo" / "rain.spair")
    assert bundle.precisions == ("fp32", "fp16", "int8")
    rows = report["precisions"]
    assert list(rows) == ["fp32", "fp16", "int8"]
    rainy = [image for image in report["images"] if image["rain"] != "dry"]
    for precision in ("fp16", "int8"):
        row, kept = rows[precision], bundle.manifest.raw["calibration"][precision]
        assert row["calibration"]["psnr_delta_db"] == kept["psnr_delta_db"] >= row["calibration"]["gate_db"]
        assert row["file_ratio"] == kept["file_ratio"] < 1.0
        assert row["calibration"]["clean_changed"] == 0 and row["calibration"]["images"] == 4
        deltas = [image["precisions"][precision]["psnr_y_after"] - image["psnr_y_after"] for image in rainy]
        assert row["photos_delta_db"] == pytest.approx(np.mean(deltas)) and row["worst_delta_db"] == min(deltas)
        assert row["seconds"] == pytest.approx(
            sum(image["precisions"][precision]["seconds"] for image in report["images"])
        )
        assert any(deltas), "what was restored was not the FP32 graphs again"
    page = (tmp_path / "demo" / "report.html").read_text()
    assert all(demo_precisions.precision_cells(name, row)[3] in page for name, row in rows.items())


@pytest.mark.whole
def test_a_missed_gate_is_told_and_the_demo_goes_on(spair, small_job, monkeypatch, tmp_path):
    monkeypatch.setattr("spair.calibration.options.GATES_DB", {"fp16": 1e-12, "int8": 1e-12})
    done = spair(*small_job)
    assert done.code == 0, done.err
    for precision in ("fp16", "int8"):
        assert f"{precision}: none, no layer of" in done.out
    assert Bundle.open(tmp_path / "demo" / "rain.spair").precisions == ("fp32",)
    assert "no layer of" in (tmp_path / "demo" / "report.html").read_text()


def test_pictures_of_the_calibration_are_no_samples():
    pairs = list(photos.calibration_pairs())
    assert len(pairs) == 2 * len(photos.PHOTOS) and {pair.rain for pair in pairs} == {"light", "heavy"}
    assert all(pair.clean.shape == pair.degraded.shape == (photos.CROP, photos.CROP, 3) for pair in pairs)
    sample = next(sample for sample in photos.sample_photos() if sample.rain == "light")
    top, left = ((size - photos.CROP) // 2 for size in sample.clean.shape[:2])
    window = (slice(top, top + photos.CROP), slice(left, left + photos.CROP))
    pair = next(pair for pair in pairs if (pair.name, pair.rain) == (sample.name, "light"))
    assert np.array_equal(pair.clean, sample.clean[window])
    assert not np.array_equal(pair.degraded, sample.degraded[window])
