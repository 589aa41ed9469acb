"""The page on engines is self-contained and escaped, with every table of its report."""

from spair.cli.profile.engine_page import render_engine_report
from tests.cli.profile.test_engine_tables import make_engine_report
from tests.cli.profile.test_page import EVIL, Reader


def test_every_list_has_its_section():
    page = render_engine_report(make_engine_report("Orin", crossover=0.5))
    assert len(Reader(page).all("svg")) == 1 and 'class="engine line"' in page and 'class="cpu line"' in page
    for words in ("by the density of the mask that it finds", "by the density of a given mask", "layers of the fp16",
                  "graph: host, launch", "350.0 pictures/s", "warning: beware Orin", "cross-over 50 %"):  # fmt: skip
        assert words in page, words
    assert "http" not in page and "url(" not in page and "@import" not in page


def test_texts_are_escaped():
    page = Reader(render_engine_report(make_engine_report(EVIL)))
    assert page.all("script") == [] and page.text.count(EVIL) >= 8


def test_without_curves_and_layers_their_sections_are_left_out():
    report = make_engine_report()
    report["engine"] |= {"curves": [], "layers": [], "pictures": []}
    page = render_engine_report(report)
    assert "<svg" not in page and "of a given mask" not in page and "layers of the" not in page
