"""The demo's report: self-contained, escaped, readable without seeing the pictures."""

from html.parser import HTMLParser

import numpy as np
import pytest

from spair.cli.demo import page as report
from spair.cli.pages.pictures import embed_picture
from spair.training.data import photos
from spair.training.data.photos import RainedPhoto
from spair.training.evaluation.samples import SampleResult

EVIL = '"><script>alert(1)</script>$title'


def make_trial(name="cat", size=(30, 41)):
    clean = np.random.default_rng(2).integers(0, 256, (*size, 3)).astype(np.uint8)
    mask = np.zeros(size, bool)
    mask[3:9] = True
    return SampleResult(
        RainedPhoto(name, "light", clean, clean),
        clean,
        mask,
        23.5,
        30.25,
        2.0,
        1.0,
        {"skipped": 1, "packed": 2, "dense": 3},
    )


def make_page(text=EVIL, trials=None):
    trials = trials or [make_trial(text)]
    summary = {"count": 1, "psnr_y_before": 23.5, "psnr_y_after": 30.25, "density": 0.2, "speedup": 2.0}
    model = {
        "checkpoint": text,
        "sha256": text,
        "task": text,
        "preset": text,
        "parameters": 12345,
        "parity": {"cases": 5, "max_abs": 1e-6},
        "operators": {text: 3},
        "steps": None,
        "scores": {f"psnr{text}": 30.0},
        "card": text,
    }
    machine = {"cpu": text, "cores": 2, "memory_gb": None, "system": text, "python": text, "gpus": [text]}
    facts = {"machine": machine, "model": model, "threads": 1, "repeat": 3, "summary": {"light": summary}}
    facts["precisions"] = {
        "fp32": {"psnr_y_after": 30.25, "seconds": 1.0, "calibration": None},
        "fp16": {"psnr_y_after": 30.24, "seconds": 1.5, "photos_delta_db": -0.0125, "worst_delta_db": -0.03,
                 "file_ratio": 0.512, "calibration": {"passed": True, "psnr_delta_db": -0.001, "gate_db": -0.02,
                                                      "layers": 40, "kept_fp32": ["a"], "kept_fp16": []}},
        "int8": {"calibration": {"passed": False, "problem": text}},
    }  # fmt: skip
    return report.render_report({**facts, "images": [trial.to_json() for trial in trials]}, trials)


class Reader(HTMLParser):
    """Collects the tags of a page, and complains where they are not closed in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page():
    return Reader(make_page())


def test_nothing_is_loaded_from_elsewhere(page):
    sources = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert len(sources) == 4 and all(source.startswith("data:image/webp;base64,") for source in sources)
    assert "http" not in make_page("plain") and "url(" not in make_page("plain")


def test_texts_are_escaped(page):
    assert len(page.all("script")) == 1, "only the page's own"
    assert page.text.count(EVIL) >= 8


def test_every_picture_has_words_and_a_size(page):
    shown = [image for image in page.all("img") if image.get("src")]
    assert len(shown) == 4
    assert all(image["alt"] and image["width"] == "41" and image["height"] == "30" for image in shown)
    assert all(button.get("aria-label") for button in page.all("button"))


def test_it_fits_phones_and_dark_rooms(page):
    (viewport,) = [meta for meta in page.all("meta") if meta.get("name") == "viewport"]
    assert viewport["content"] == "width=device-width, initial-scale=1"
    assert "prefers-color-scheme: dark" in make_page() and page.all("html") == [{"lang": "en"}]


def test_the_numbers_are_in_the_table(page):
    for text in ("23.50 dB", "30.25 dB", "2.00 s", "1.00 s", "2.00×", "20.0 %", "1 / 2 / 3", "12,345"):
        assert text in page.text


def test_every_precision_has_its_line_and_a_failed_one_its_reason(page):
    for text in ("-0.013", "-0.030", "-0.001 (-0.02)", "39 of 40", "0.51 x", "1.50"):
        assert text in page.text
    assert f"Int8: none, {EVIL}." in page.text


def test_a_full_demo_stays_below_ten_megabytes():
    largest = photos.rain_on(photos.read_photo("motorcycle_left.png"), "heavy", seed=[1])
    assert 4 * 11 * len(embed_picture(largest)) < 10_000_000  # as if masks and errors were photos too


def test_the_error_is_the_largest_channels_and_amplified():
    clean = np.array([[[10, 20, 30], [0, 0, 0]]], np.uint8)
    restored = np.array([[[10, 13, 31], [255, 0, 0]]], np.uint8)
    assert report.error_picture(restored, clean).tolist() == [[[28], [255]]]
