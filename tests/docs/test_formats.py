"""The page of formats says what files really keep."""

from tests.docs.formats import PAGE, insert, make_tables


def test_the_tables_are_those_of_written_files(tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    for name, table in make_tables(tmp_path).items():
        assert table in page, f"{name} is out of date; run python -m tests.docs.formats"
        assert insert(page, name, table) == page
