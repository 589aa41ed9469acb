"""The page of networks is what was measured, and a small network of it is measured again."""

import json

import pytest

from spair.export.catalogue.library import has_library
from tests.docs.networks import FIGURES, HEADS, PAGE, insert, make_tables, measure, title_of
from tests.export.catalogue.instances import INSTANCES


def read_figures():
    return json.loads(FIGURES.read_text(encoding="utf-8"))


def test_every_network_of_the_tests_has_a_row_and_every_row_a_network():
    titles = [title_of(instance) for instance in INSTANCES]
    assert sorted(read_figures()) == sorted(titles) and len(set(titles)) == len(titles)
    assert all(set(row) == set(HEADS) - {"network"} for row in read_figures().values())


@pytest.mark.skipif(not has_library(), reason="spandrel is not installed: make setup")
def test_the_page_is_what_was_measured():
    page = PAGE.read_text(encoding="utf-8")
    for name, table in make_tables(read_figures()).items():
        assert insert(page, name, table) == page, f"{name} is out of date; run make networks"


def test_a_table_replaces_the_old_one_alone():
    page = "a\n<!-- x -->\nold\nold\n<!-- end of x -->\nb"
    assert insert(page, "x", "new") == "a\n<!-- x -->\nnew\n<!-- end of x -->\nb"


@pytest.mark.skipif(not has_library(), reason="spandrel is not installed: make setup")
def test_a_small_network_is_exported_as_its_row_says():
    """The small one overlaps less; all else is the same code."""
    (instance,) = (instance for instance in INSTANCES if instance.name == "RealESRGAN Compact")
    cells, row = measure(instance, dict(instance.tiny), calibrates=False), read_figures()[instance.name]
    assert cells["parity"] < 1e-5
    assert [cells["export"], cells["recognised by"]] == [row["export"], row["recognised by"]]
    assert cells["tiles"].split(",")[0] == row["tiles"].split(",")[0] == "tiled"
