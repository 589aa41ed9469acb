"""The page on reliability has the figures of the last long run."""

import json

from tests.faults.figures import BEGIN, END, FILE, PAGE, make_table, write_table


def test_the_page_has_the_table_of_the_stored_figures():
    text = PAGE.read_text(encoding="utf-8")
    assert write_table(text, make_table(json.loads(FILE.read_text()))) == text, "make faults writes it"


def test_the_last_long_run_had_no_failure():
    figures = json.loads(FILE.read_text())
    assert figures["failures"] == 0 and sum(figures["faults"].values()) > 1000


def test_only_the_table_is_replaced():
    text = f"before\n{BEGIN}old\n{END}after\n"
    assert write_table(text, "new\n") == f"before\n{BEGIN}new\n{END}after\n"
