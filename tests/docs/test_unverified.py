"""The page on what was not verified is up to date, and every skip of a test is in one of its areas or needs none."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.areas import AREAS, ENGINES, MACHINES, PROGRAMS, TRAINING, TRITON
from tests.docs.unverified import (
    HERE,
    PAGE,
    PLACES,
    REASONS,
    Skip,
    collect_tests,
    find_area,
    format_page,
    list_skips,
    list_sources,
    list_waiting,
)


def test_the_page_is_what_the_tests_say():
    assert PAGE.read_text(encoding="utf-8") == format_page(), "run: python -m tests.docs.unverified"


def test_every_pattern_is_needed():
    skips = [skip for file, tree in list_sources() for skip in list_skips(file, tree)]
    for pattern in (*HERE, *REASONS):
        assert any(re.search(pattern, skip.words) for skip in skips), pattern
    titles = {area.title for area in AREAS}
    assert {*PLACES.values(), *REASONS.values()} <= titles


def test_areas_have_tests_that_wait_or_no_test_could():
    found = collect_tests()
    assert {title for title, files in found.items() if not files} == {PROGRAMS, MACHINES, TRITON}
    assert all(file.startswith("tests/") for files in found.values() for file in files)


def test_every_area_but_the_programs_has_a_command():
    assert [area.title for area in AREAS if not area.commands] == [PROGRAMS]


def test_a_skip_that_fits_nothing_is_refused():
    with pytest.raises(
        ValueError, match=r"the skip 'tests/x\.py: needs a Spark' is in no area; add a pattern to REASONS"
    ):
        find_area(Skip("tests/x.py", "needs a Spark", ""))


SOURCE = """
import pytest
pytestmark = pytest.mark.gpu
@pytest.mark.skipif(a, reason=f"x {b} y")
def test_one_thing():
    pytest.skip("why")
    pytest.importorskip("m")
    pytest.skip(reason)
"""


def test_skips_are_read_with_their_reasons():
    found = [skip.reason for skip in list_skips("f", ast.parse(SOURCE))]
    assert sorted(found) == ["None", "reason", "why", "x {b} y"]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (SOURCE, ["one thing"]),
        (SOURCE.replace("pytestmark", "other"), []),
        (SOURCE.replace("pytestmark = pytest.mark.gpu", ""), []),
        (SOURCE.replace("pytestmark = pytest.mark.gpu", "").replace("skipif(a", "skipif(not torch.cuda.is_available()"),
         ["one thing"]),
    ],
)  # fmt: skip
def test_tests_that_need_a_gpu_are_told_from_their_marks(source, names):
    assert list_waiting(ast.parse(source)) == names


def test_a_reason_can_be_told_from_its_area():
    assert find_area(Skip("tests/gpu/x.py", "reason", "")) == ENGINES
    assert find_area(Skip("tests/x.py", "PyTorch finds no CUDA GPU here", "")) == TRAINING
