"""`spair evaluate --thresholds`: quality against time."""

import re
import shutil

import pytest

from spair.runtime.images import read_image


@pytest.fixture
def folders(pairs):
    return ("--input", pairs / "input", "--clean", pairs / "target", "--threads", 1)


def test_thresholds_are_measured_beside_the_models_own(spair, tiny_bundle, folders, tmp_path):
    out = tmp_path / "scores"
    done = spair("evaluate", tiny_bundle, *folders, "--thresholds", "0,0.33,1", "--out", out, "--pictures", 0, "--json")
    rows = done.json["thresholds"]
    assert [row["threshold"] for row in rows] == [0.0, 0.33, 0.35, 1.0]
    assert [row["own"] for row in rows] == [False, False, True, False]
    densities = [row["density"] for row in rows]
    assert densities[0] == 1.0 > densities[1] > densities[2] > densities[3] == 0.0
    for key in ("psnr_y", "ssim_rgb", "density", "mask"):
        assert rows[2][key] == done.json[key]
    assert rows[3]["psnr_y"] == done.json["input"]["psnr_y"]
    assert all(row["ms"] > 0 and row["processor_ms"] > 0 for row in rows)
    assert {path.name for path in out.iterdir()} == {"report.md", "report.json", "thresholds.png"}
    assert "## Thresholds of the mask" in (out / "report.md").read_text()
    assert read_image(out / "thresholds.png").pixels.shape == (520, 860, 3)


def test_people_get_a_table_of_thresholds(spair, tiny_bundle, folders):
    done = spair("evaluate", tiny_bundle, *folders, "--thresholds", "0.2")
    assert "processor ms" in done.out and re.search(r"^0\.35 .*the model's", done.out, re.M)


def test_a_threshold_is_the_reported_models_alone(spair, tiny_bundle, tiny_checkpoint, folders):
    report = spair("evaluate", tiny_bundle, *folders, "--threshold", 0.9, "--compare", tiny_checkpoint, "--json").json
    assert report["density"] < report["compare"][0]["density"]


def test_thresholds_that_nothing_can_be_measured_at_are_refused(spair, tiny_bundle, folders, foreign, pairs, tmp_path):
    spair("evaluate", tmp_path / "absent.spair", *folders, "--thresholds", "0.1,2").refused("--thresholds has '2', exp")
    spair("evaluate", tiny_bundle, *folders, "--thresholds", "0.1", "--threshold", "best").refused(
        "--thresholds measures at several thresholds beside the network's own, and --threshold is best; leave one"
    )
    masks = ("--input", pairs / "input", "--mask", pairs / "mask", "--thresholds", "0.1")
    spair("evaluate", tiny_bundle, *masks).refused("--thresholds compares restored pictures with clean ones")
    peer = tmp_path / "their.spair"
    assert spair("export", foreign.checkpoint, "--factory", foreign.factory, "--picture", 0, "--out", peer).code == 0
    spair("evaluate", peer, *folders, "--thresholds", "0.1").refused("finds no mask; leave the threshold out")


def test_results_do_not_replace_the_pictures(spair, tiny_bundle, pairs, tmp_path):
    data = shutil.copytree(pairs / "input", tmp_path / "data" / "pictures")
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    spair("evaluate", tiny_bundle, "--input", data, "--clean", pairs / "target", "--out", data.parent).refused(
        "the results in .*data would lie among the pictures that are measured, such as .*; choose another --out"
    )
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before
    assert list(data.parent.iterdir()) == [data]
