"""`spair demo`, on small pictures and an exported bundle: what it measures, writes and refuses."""

import shutil

import pytest

from spair.cli.demo import command as demo
from spair.runtime import read_image
from spair.training.data import photos
from spair.training.data.photos import RainedPhoto

FACTS = {
    "checkpoint": "rain<tiny>.safetensors",
    "sha256": "ab" * 32,
    "task": "rain",
    "preset": "tiny",
    "parameters": 636999,
    "parity": {"cases": 52, "max_abs": 1e-6, "mean_abs": 1e-8, "passed": True},
    "operators": {"SparseConv2d": 22},
    "steps": 14000,
    "scores": {"psnr_y/light": 33.125},
    "card": "A card with <b>markup</b> & more.",
}


def small_samples():
    clean = photos.read_photo("chelsea.png")[100:141, 150:210]
    yield RainedPhoto("cat", "dry", clean, clean)
    yield RainedPhoto("<cat>", "light", clean, photos.rain_on(clean, "light", seed=[1]))


@pytest.fixture
def small_demo(spair, tiny_bundle, monkeypatch):
    """The demo on two small pictures, with the shared bundle in place of an export."""

    def export(checkpoint, out, progress):
        shutil.copytree(tiny_bundle, out)
        return FACTS

    monkeypatch.setattr(demo, "export_bundle", export)
    monkeypatch.setattr(photos, "sample_photos", small_samples)
    monkeypatch.setattr(demo, "calibrate_demo", lambda *_: {})
    return lambda *arguments: spair("demo", "--checkpoint", "rain-tiny.safetensors", "--repeat", 1, *arguments)


def test_the_report_has_measured_numbers_and_pictures(small_demo, tmp_path):
    done = small_demo("--out", tmp_path / "demo", "--json")
    assert done.code == 0, done.err
    dry, light = done.json["images"]
    assert dry["psnr_y_before"] == 100.0 and light["psnr_y_before"] < 40
    assert 0 < light["density"] < 1 and sum(light["tiles"].values()) == 1
    assert light["speedup"] == pytest.approx(light["dense_seconds"] / light["adaptive_seconds"])
    assert list(done.json["summary"]) == ["dry", "light"]
    assert done.json["machine"]["cores"] >= 1 and done.json["bundle"].endswith("demo/rain-tiny.spair")
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "33.12" in page and "14,000" in page and "&lt;cat&gt;" in page


def test_saved_pictures_are_what_was_measured(small_demo, tmp_path):
    small_demo("--out", tmp_path / "demo")
    folder = tmp_path / "demo" / "pictures"
    clean, given, restored, mask = (
        read_image(folder / f"cat-dry-{part}.png").pixels for part in ("clean", "input", "restored", "mask")
    )
    assert (clean == given).all() and clean.shape == (41, 60, 3)
    changed = (given != restored).any(axis=2)
    assert changed.any() and not (changed & (mask[..., 0] == 0)).any()


def test_people_get_a_table_that_fits_a_terminal(small_demo, tmp_path):
    lines = small_demo("--out", tmp_path / "demo").out.splitlines()
    header = next(line for line in lines if line.startswith("photo"))
    for title in ("rain", "dB before", "dB after", "distorted", "dense s", "adaptive s", "speed-up"):
        assert title in header
    row = next(line for line in lines if line.startswith("cat"))
    assert "identical" in row and row.endswith(" x")


def test_a_missing_shipped_checkpoint_is_said_clearly(spair, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "SHIPPED", "never-shipped.safetensors")
    done = spair("demo", "--out", tmp_path / "demo")
    done.refused("the shipped checkpoint never-shipped.safetensors is missing .* --checkpoint")
    assert not (tmp_path / "demo").exists()


def test_an_unusable_checkpoint_leaves_nothing(spair, tmp_path):
    spair("demo", "--out", tmp_path / "demo", "--checkpoint", tmp_path / "no.pth").refused("no.pth does not exist")
    assert not (tmp_path / "demo").exists()


def test_an_output_that_cannot_be_written_is_refused_first(spair, tmp_path):
    (tmp_path / "file").touch()
    spair("demo", "--out", tmp_path / "file" / "demo").refused("is not a folder; choose another --out")


def test_the_facts_are_those_of_the_checkpoint(monkeypatch, tiny_checkpoint, tiny_bundle, tmp_path):
    exported = {"preset": "tiny", "operators": {"SparseConv2d": 22}, "parity": FACTS["parity"]}
    monkeypatch.setattr("spair.export.exporter.export_checkpoint", lambda *arguments, **options: exported)
    shutil.copy(tiny_checkpoint, tmp_path)  # away from any model card
    facts = demo.export_bundle(tmp_path / tiny_checkpoint.name, tmp_path / "x.spair", print)
    assert facts["task"] == "rain" and facts["parameters"] == 636999
    assert (facts["steps"], facts["scores"], facts["card"]) == (None, {}, "")


def test_the_card_is_reduced_to_its_first_paragraph(tmp_path):
    text = "# Title\n\n| a | b |\n|---|---|\n\nTrained on **rain**,\nwith `care`.\n\nMore.\n"
    (tmp_path / "x.md").write_text(text)
    assert demo.read_card(tmp_path / "x.safetensors") == "Trained on rain, with care."
    assert demo.read_card(tmp_path / "y.safetensors") == ""
