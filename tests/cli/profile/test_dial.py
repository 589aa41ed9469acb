"""`spair profile --thresholds`: quality against time on one picture, and what is refused."""

import sys

import numpy as np
import pytest

from spair.runtime import Restorer, opening
from spair.runtime.images import Picture, write_image
from spair.runtime.profiling import costs
from spair.runtime.profiling import latency as profiler
from spair.runtime.profiling.memory import Peak
from spair.training.evaluation.metrics import luma, luma_8bit, psnr

ONE = ("--densities", "0.3", "--masks", "blob", "--threads", 1, "--repeat", 2, "--backend", "onnxruntime",
       "--no-store", "--no-layers", "--no-power")  # fmt: skip
SIZE = (40, 56)


@pytest.fixture(autouse=True)
def no_process(monkeypatch, tmp_path):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(profiler, "measure_peak_memory", lambda path, image, **options: Peak(100.0))


@pytest.fixture
def pictures(tmp_path):
    """Files of a degraded picture and its clean one, with their pixels."""
    random = np.random.default_rng(8)
    clean = random.integers(0, 200, (*SIZE, 3)).astype(np.uint8)
    degraded = clean + (random.random((*SIZE, 1)) < 0.3).astype(np.uint8) * np.uint8(50)
    files = tmp_path / "rainy.png", tmp_path / "clean.png"
    for file, pixels in zip(files, (degraded, clean), strict=True):
        write_image(file, Picture(pixels))
    return *files, degraded, clean


def test_every_threshold_and_the_models_own_has_time_share_and_psnr(spair, tiny_bundle, pictures):
    rainy, clean, degraded, target = pictures
    report = spair("profile", tiny_bundle, *ONE, "--image", rainy, "--clean", clean, "--thresholds", "0.5,0.1,0.5",
                   "--json").json  # fmt: skip
    assert [(row["threshold"], row["own"]) for row in report["dial"]] == [(0.1, False), (0.35, True), (0.5, False)]
    with Restorer.open(tiny_bundle, threads=1, backend="onnxruntime") as restorer:
        for row in report["dial"]:
            restored = restorer(degraded, threshold=row["threshold"])
            assert row["density"] == restored.density
            assert row["psnr"] == pytest.approx(psnr(luma(restored.image / 255), luma(target / 255)), abs=1e-4)
            assert row["measure"] == "psnr_y", "as spair evaluate prints it for rain"
            assert set(row["ms"]) == {"p50", "p90", "p99"} and row["ms"]["p50"] > 0 and row["first_ms"] > 0
            assert (row["runs"], row["size"], row["precision"]) == (2, [SIZE[1], SIZE[0]], "fp32")
    shares = [row["density"] for row in report["dial"]]
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[-1], "the thresholds tell pixels apart"


def test_the_clean_picture_is_cut_as_the_other_is(spair, tiny_bundle, pictures):
    rainy = pictures[0]
    whole = ("--image", rainy, "--clean", rainy, "--thresholds", "1", "--json")
    for size in ("24x24", "72x48"):
        rows = spair("profile", tiny_bundle, *ONE, *whole, "--size", size).json["dial"]
        assert rows[-1]["threshold"] == 1.0 and rows[-1]["density"] == 0.0
        assert rows[-1]["psnr"] == 100.0, "nothing is restored, so the picture equals itself"


def test_people_get_a_table_and_a_chart(spair, tiny_bundle, pictures, tmp_path):
    rainy, clean, *_ = pictures
    page = tmp_path / "page.html"
    done = spair(
        "profile", tiny_bundle, *ONE, "--image", rainy, "--clean", clean, "--thresholds", "0.1", "--html", page
    )
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert any(line.startswith("thresholds of the mask, fp32, 1 thread, 56x40") for line in lines)
    header = next(line for line in lines if line.startswith("threshold "))
    assert "distorted" in header and "PSNR luma (dB)" in header and len(header) <= 80
    assert [line.startswith("0.35 ") for line in lines if line.endswith("the model's")] == [True]
    text = page.read_text()
    assert 'alt="PSNR against milliseconds by threshold"' in text and "data:image/webp" in text
    assert "PSNR luma (dB)" in text and "the model&#x27;s" in text


def test_without_a_clean_picture_there_are_times_alone(spair, tiny_bundle, pictures, tmp_path):
    page = tmp_path / "page.html"
    done = spair("profile", tiny_bundle, *ONE, "--image", pictures[0], "--thresholds", "0.1", "--html", page, "--json")
    assert [row["psnr"] for row in done.json["dial"]] == [None, None]
    assert "Thresholds of the mask" in page.read_text() and "data:image/webp" not in page.read_text()
    plain = spair("profile", tiny_bundle, *ONE, "--image", pictures[0], "--html", page, "--json")
    assert plain.json["dial"] == [] and "Thresholds of the mask" not in page.read_text()


def test_options_that_do_not_go_together_are_refused(spair, tiny_bundle, pictures, tmp_path):
    rainy, clean, degraded, _ = pictures
    small = tmp_path / "small.png"
    write_image(small, Picture(degraded[:20]))
    image = ("profile", tiny_bundle, *ONE, "--image", rainy)
    spair(*image, "--clean", clean).refused(
        "--clean is the clean picture of --image, .*; give both too, or leave it out"
    )
    spair("profile", tiny_bundle, *ONE, "--clean", clean, "--thresholds", "0.1").refused("--clean is the clean picture")
    spair(*image, "--clean", small, "--thresholds", "0.1").refused(
        "small.png is 56x20, but --image is 56x40; give the clean picture of the same photograph"
    )
    spair(*image, "--thresholds", "low").refused("--thresholds has 'low', expected numbers from 0 to 1 with commas")
    spair(*image, "--thresholds", "0.1,1.5").refused("--thresholds has '1.5', expected numbers from 0 to 1 with commas")
    spair(*image, "--thresholds", "best").refused("--thresholds has 'best', expected numbers from 0 to 1 with commas")
    spair(*image, "--thresholds", "0.1,").refused("--thresholds has '', expected numbers from 0 to 1 with commas")


def test_a_network_without_a_mask_has_no_thresholds(spair, foreign, tmp_path):
    out = tmp_path / "their.spair"
    done = spair("export", foreign.checkpoint, "--factory", foreign.factory, "--picture", 0, "--out", out)
    assert done.code == 0, done.err
    spair("profile", out, *ONE, "--thresholds", "0.1").refused("their.spair finds no mask, which --thresholds is about")


@pytest.mark.parametrize(
    ("task", "key", "part"),
    [("rain", "psnr_y", luma), ("raindrop", "psnr_y8", luma_8bit), ("shadow", "psnr_rgb", np.asarray),
     ("blur", "psnr_rgb", np.asarray), ("of my own", "psnr_y", luma)],
)  # fmt: skip
def test_the_psnr_is_that_of_the_tasks_tables(task, key, part, pictures):
    from spair.cli.profile.dial import make_dial
    from spair.runtime.profiling.profile import Source

    rainy, clean, degraded, target = pictures
    dial = make_dial("0.1", clean, rainy, Source("rainy.png", degraded, ".png"), None)
    score = dial.score(degraded, task)
    assert score.measure == key
    assert score.psnr == pytest.approx(psnr(part(degraded / 255), part(target / 255)), abs=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_gray_counts_as_three_equal_channels_and_alpha_not_at_all(channels, tmp_path):
    from spair.cli.profile.dial import make_dial
    from spair.runtime.profiling.profile import Source

    random = np.random.default_rng(4)
    pixels, restored = (random.integers(0, 256, (12, 9, channels)).astype(np.uint8) for _ in range(2))
    file = tmp_path / "clean.png"
    write_image(file, Picture(pixels))
    score = make_dial("0.1", file, file, Source("clean.png", pixels, ".png"), None).score(restored, "blur")
    colours = slice(0, 3 if channels == 4 else 1)
    assert score.psnr == pytest.approx(psnr(restored[..., colours] / 255, pixels[..., colours] / 255), abs=1e-4)


def test_a_package_of_the_chart_is_missed_before_anything_is_measured(
    spair, tiny_bundle, pictures, tmp_path, monkeypatch
):
    rainy, clean, *_ = pictures
    whole = ("profile", tiny_bundle, *ONE, "--image", rainy, "--clean", clean, "--thresholds", "0.1")
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert spair(*whole, "--html", tmp_path / "page.html").code == 0, "Pillow alone draws it"
    monkeypatch.setitem(sys.modules, "PIL.ImageDraw", None)
    assert spair(*whole, "--json").code == 0, "no page, no chart"
    monkeypatch.setattr(costs, "measure_tuning", lambda *given, **options: pytest.fail("measured"))
    done = spair(*whole, "--html", tmp_path / "page.html")
    assert done.code != 0 and "PIL" in done.err


def test_graphs_that_hold_their_threshold_are_refused_before_anything_is_measured(
    spair, tiny_bundle, pictures, monkeypatch
):
    monkeypatch.setattr(opening.GraphTwoStage, "takes_threshold", False)
    monkeypatch.setattr(costs, "measure_tuning", lambda *given, **options: pytest.fail("measured"))
    spair("profile", tiny_bundle, *ONE, "--image", pictures[0], "--thresholds", "0.1").refused(
        "the graphs of .* hold their threshold inside, .*; leave it out, or export the bundle again"
    )


def test_the_clean_picture_may_have_other_channels_and_bits(spair, tiny_bundle, pictures, tmp_path):
    _, _, degraded, target = pictures
    alpha = np.full((*SIZE, 1), 255, np.uint8)
    files = {"rgba": np.dstack([degraded, alpha]), "deep": target.astype(np.uint16) * 257}
    for name, pixels in files.items():
        write_image(tmp_path / f"{name}.png", Picture(pixels))
    done = spair("profile", tiny_bundle, *ONE, "--image", tmp_path / "rgba.png", "--clean", tmp_path / "deep.png",
                 "--thresholds", "1", "--json")  # fmt: skip
    assert done.json["dial"][-1]["psnr"] == pytest.approx(psnr(luma(degraded / 255), luma(target / 255)), abs=1e-3)


def test_a_page_replaces_no_picture(spair, tiny_bundle, pictures):
    rainy = pictures[0]
    before = rainy.read_bytes()
    spair("profile", tiny_bundle, *ONE, "--image", rainy, "--html", rainy).refused(
        "cannot write .*rainy.png: the file that is there is no page; choose another --html"
    )
    assert rainy.read_bytes() == before
