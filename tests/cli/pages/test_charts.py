"""Plots are well-formed SVG with their points in the right places, whatever the names in them are."""

from xml.etree import ElementTree

import pytest

from spair.cli.pages import charts
from spair.cli.pages.charts import BarChart, LineChart, format_ms, list_ticks

SERIES = {"dense": [(0.1, 900.0), (1.0, 900.0)], "adaptive": [(0.1, 300.0), (1.0, 950.0)]}


def parse(svg):
    return ElementTree.fromstring(svg)


def find(root, tag, kind):
    return [element for element in root.iter(tag) if kind in element.get("class", "").split()]


def test_a_line_goes_through_its_points():
    root = parse(LineChart("times", SERIES).render())
    (line,) = find(root, "polyline", "adaptive")
    (x0, y0), (x1, y1) = (map(float, place.split(",")) for place in line.get("points").split())
    left, right = charts.LEFT, charts.WIDTH - charts.RIGHT
    top, bottom = charts.TOP, charts.HEIGHT - charts.BOTTOM
    assert x0 == pytest.approx(left + 0.1 * (right - left), abs=0.1) and x1 == pytest.approx(right, abs=0.1)
    assert y0 == pytest.approx(bottom - 0.3 * (bottom - top), abs=0.1) and y1 < y0
    (dense,) = find(root, "polyline", "dense")
    assert len({place.split(",")[1] for place in dense.get("points").split()}) == 1


def test_points_have_words_and_series_differ_without_colours():
    root = parse(LineChart("times", {**SERIES, "packed": [(0.1, 250.0)]}).render())
    tips = [title.text for title in root.iter("title")]
    assert tips == ["dense, 10 %: 900 ms", "dense, 100 %: 900 ms", "adaptive, 10 %: 300 ms", "adaptive, 100 %: 950 ms",
                    "packed, 10 %: 250 ms"]  # fmt: skip
    assert len(find(root, "circle", "adaptive")) == 3, "two points and the legend"
    assert all("rotate" in dot.get("transform") for dot in find(root, "rect", "packed"))
    assert not any(dot.get("transform") for dot in find(root, "rect", "dense"))


def test_the_crossover_is_marked_and_its_words_stay_inside():
    for density, anchor in ((0.2, "start"), (0.95, "end")):
        root = parse(LineChart("times", SERIES, mark=density).render())
        (mark,) = find(root, "line", "mark")
        assert float(mark.get("x1")) == float(mark.get("x2"))
        (words,) = [text for text in root.iter("text") if (text.text or "").startswith("cross-over")]
        assert (words.text, words.get("text-anchor")) == (f"cross-over {100 * density:.0f} %", anchor)
    assert not find(parse(LineChart("times", SERIES).render()), "line", "mark")


def test_long_times_are_in_seconds():
    texts = [text.text for text in parse(LineChart("t", {"dense": [(1.0, 9012.0)]}).render()).iter("text")]
    assert "s" in texts and "10" in texts and "ms" not in texts


def test_other_values_keep_their_unit_and_other_names_get_looks():
    series = {name: [(0.1, 2500.0), (1.0, 0.125)] for name in ("VDD_IN", "a<b", "c", "d", "e")}
    root = parse(LineChart("joules", series, unit="J").render())
    texts = [text.text for text in root.iter("text")]
    assert "J" in texts and "s" not in texts and "a<b" in texts
    assert [title.text for title in root.iter("title")][:2] == ["VDD_IN, 10 %: 2.5e+03 J", "VDD_IN, 100 %: 0.125 J"]
    assert len(find(root, "polyline", "line0")) == 2, "the fifth looks as the first"
    assert [len(find(root, "polyline", f"line{index}")) for index in (1, 2, 3)] == [1, 1, 1]
    names = [text for text in root.iter("text") if text.text in series]
    assert max(float(text.get("x")) for text in names) < charts.WIDTH


def test_long_names_do_not_lie_on_each_other():
    names = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO")
    root = parse(LineChart("joules", {name: [(1.0, 1.0)] for name in names}, unit="J").render())
    places = [(float(text.get("x")), float(text.get("y"))) for text in root.iter("text") if text.text in names]
    letter, height = 7.5, 11  # a little more than those of 12 pixels
    for (x0, y0), first in zip(places, names, strict=True):
        assert x0 + letter * len(first) < charts.WIDTH and 0 < y0 < charts.TOP
        others = [place for place in places if place != (x0, y0)]
        assert all(abs(y - y0) >= height or x < x0 or x0 + letter * len(first) < x for x, y in others)


@pytest.mark.parametrize("series", [{}, {"dense": []}, {"dense": [(0.0, 0.0)]}])
def test_nothing_to_show_is_no_error(series):
    assert parse(LineChart("times", series).render()).tag == "svg"
    assert parse(BarChart("stages", []).render()).tag == "svg"


def test_bars_are_as_long_as_their_times():
    root = parse(BarChart("stages", [("net_l", 50.0), ("net_r", 200.0), ("post", 0.0)]).render())
    short, long, none = (float(bar.get("width")) for bar in find(root, "rect", "bar"))
    assert long == pytest.approx(4 * short) and none == 1.0, "a stage that took no time can be seen"


def test_texts_are_escaped():
    evil = '"><script>&'
    root = parse(BarChart(evil, [(evil, 1.0)]).render())
    assert root.get("aria-label") == evil and evil in [text.text for text in root.iter("text")]
    assert parse(LineChart(evil, SERIES).render()).get("aria-label") == evil


@pytest.mark.parametrize("largest", [1e-14, 3e-13, 1e-4, 0.37, 1.0, 7.0, 99.9, 100.0, 12345.0])
def test_ticks_are_round_and_cover_the_axis(largest):
    ticks = list_ticks(largest)
    assert ticks[0] == 0 and ticks[-2] < largest <= ticks[-1] and 3 <= len(ticks) <= 8


def test_tiny_densities_and_times_are_drawn():
    assert parse(LineChart("times", {"dense": [(1e-15, 1e-14), (1e-14, 2e-13)]}).render()).tag == "svg"


@pytest.mark.parametrize(("value", "text"), [(0.214, "0.21 ms"), (14.26, "14.3 ms"), (9012.4, "9,012 ms")])
def test_times_have_about_three_digits(value, text):
    assert format_ms(value) == text
