"""The page of `spair profile`: self-contained, escaped, with every plot and table that its report has."""

from html.parser import HTMLParser

import pytest

from spair.cli.profile.page import render_report
from spair.cli.profile.tables import conclusions

EVIL = '"><script>alert(1)</script>$title'


def times(p50):
    return {"p50": p50, "p90": p50 * 1.1, "p99": p50 * 1.2}


def make_report(text=EVIL, kind="spair", crossover=0.55):
    keys = {"precision": "fp32", "threads": 2}
    tiles = {"skipped": 1, "packed": 2, "dense": 3}
    rows = [
        {**keys, "size": [64, 48], "mask": mask, "density": density, "dense_ms": times(900.0), "dense_runs": 3,
         "adaptive_ms": times(adaptive), "adaptive_runs": 5, "speedup": 900 / adaptive, "tiles": tiles}
        for mask in ("streak", "blob") for density, adaptive in ((0.02, 150.0), (1.0, 930.0))
    ]  # fmt: skip
    stages = {
        **keys, "size": [64, 48], "file": {"format": "jpg", "bytes": 99}, "density": 0.17, "tiles": tiles, "runs": 5,
        "stages": {"decode": times(4.0), "net_r": times(345.6), "encode": times(6.0)}, "adaptive_ms": times(350.0),
        "total_ms": 360.0, "pictures_per_second": 2.7778, "megapixels_per_second": 0.0085, "peak_memory_mb": 1389.2,
        "dense_ms": times(900.0), "speedup": 2.571, "differing_from_dense": 0.0, "first_ms": 512.5,
    }  # fmt: skip
    points = [
        {"density": density, "dense_ms": times(90.0), "adaptive_ms": times(50.0), "packed_ms": times(packed)}
        for density, packed in ((0.02, 10.0), (1.0, 140.0))
    ]
    layer = {"name": text, "operator": text, "what": text, "ms": 1.25, "share": 0.125}
    layers = {**keys, "mask": "streak", "density": 0.1, "graph": text, "ms": 10.0, "calls": 2, "layers": [layer] * 23,
              "operators": [{"operator": text, "count": 23, "ms": 9.0, "share": 0.9}]}  # fmt: skip
    sparse = kind == "spair"
    if not sparse:
        rows = [{**rows[0], "mask": None, "density": 1.0, "adaptive_ms": None, "adaptive_runs": 0, "speedup": None}]
        stages |= {"adaptive_ms": None, "speedup": None}
    curves = [{**keys, "mask": mask, "points": points, "crossover_density": crossover} for mask in ("streak", "blob")]
    check = {**keys, "cases": 4, "max_abs": 3e-7, "tolerance": 1e-4, "gated": True, "packed": True, "pieces": 6}
    tuning = {**keys, "backend": "onnxruntime", "dense_ns": 1.0, "crossover": 0.61, "stored": text}
    dial = {**keys, "size": [64, 48], "threshold": 0.35, "own": True, "density": 0.17, "ms": times(350.0), "runs": 5,
            "psnr": None, "measure": None}  # fmt: skip
    return {
        "model": f"/a/{text.replace('/', '')}", "kind": kind, "task": text, "preset": text, "picture": text,
        "machine": {"cpu": text, "cores": 2, "memory_gb": None, "system": text, "python": text, "gpus": []},
        "versions": {"onnxruntime": text}, "size": [64, 48], "sizes": [[64, 48]], "check_size": [32, 24], "threads": 2,
        "tile": None, "repeat": None, "rows": rows, "stages": [stages], "layers": [layers],
        "dial": [dial] * sparse, "checks": [check] * sparse, "curves": curves * sparse, "tuning": [tuning] * sparse,
        "crossover_density": crossover if sparse else None, "peak_memory_mb": 1389.2, "power": None,
    }  # fmt: skip


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

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page():
    return Reader(render_report(make_report()))


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(page):
    assert not [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert page.all("script") == [] and page.all("link") == []
    source = render_report(make_report("plain"))
    assert "http" not in source and "url(" not in source and "@import" not in source


def test_texts_are_escaped(page):
    assert page.text.count(EVIL) >= 20 + 3


def test_every_plot_is_there_and_has_words(page):
    plots = page.all("svg")
    assert len(plots) == 2 + 1 + 2 and all(plot["aria-label"] and plot["role"] == "img" for plot in plots)
    assert page.text.count("cross-over 55 %") == 4


def test_the_numbers_are_in_the_tables(page):
    for text in ("6.00×", "900.0", "3 + 5", "1/2/3", "1,389 MB", "360 ms", "2.78 pictures/s", "12.5 %", "run 2 times"):
        assert text in page.text, text
    assert "3 more layers took 3.75 ms together" in page.text


def test_the_page_says_how_it_was_measured(page):
    for line in conclusions(make_report()):
        assert line in page.text


def test_it_fits_phones_and_dark_rooms(page):
    (viewport,) = [meta for meta in page.all("meta") if meta.get("name") == "viewport"]
    assert viewport["content"] == "width=device-width, initial-scale=1" and page.all("html") == [{"lang": "en"}]
    source = render_report(make_report())
    for colour in ("--ink", "--quiet", "--line", "--accent", "--second"):
        assert source.count(f"{colour}:") == 2, f"{colour} is set for light and dark"


def test_a_foreign_network_has_a_page_without_masks():
    page = Reader(render_report(make_report("their", kind="foreign")))
    assert len(page.all("svg")) == 1 and "cross-over" not in page.text.lower()
    assert "computes every pixel of every picture" in page.text


def test_a_crossover_beyond_the_axis_is_not_marked_there():
    report = make_report("x")
    report["rows"] = [row for row in report["rows"] if row["density"] < 1]
    assert Reader(render_report(report)).text.count("cross-over 55 %") == 2
