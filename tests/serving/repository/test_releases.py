"""The table of containers is in order, has a source for each TensorRT, and is the one that the page shows."""

import re
from pathlib import Path

import pytest

from spair.runtime.errors import UserError
from spair.serving.repository.releases import RELEASES, SOURCES, Release, find_release, format_table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tasks" / "triton.md"


def test_releases_are_in_order_of_time_and_newer_ones_hold_nothing_older():
    assert [one.name for one in RELEASES] == sorted({one.name for one in RELEASES})
    for column in ("triton", "cuda", "onnxruntime", "tensorrt"):
        known = [tuple(map(int, value.split("."))) for one in RELEASES if (value := getattr(one, column))]
        assert known == sorted(known), column


def test_the_page_shows_the_table_and_its_sources():
    text = PAGE.read_text(encoding="utf-8")
    assert format_table() in text
    for key, place in SOURCES.items():
        assert f"- {key}: {place}" in text


def test_a_release_is_found_by_its_name_and_the_newest_without_one():
    assert find_release("24.10").triton == "2.51.0"
    assert find_release(None) is RELEASES[-1]
    assert find_release("24.10").image == "nvcr.io/nvidia/tritonserver:24.10-py3"


@pytest.mark.parametrize("name", ["", "19.01", "24.1", "24.13", "24.10-py3"])
def test_an_unknown_release_is_refused_with_those_that_are_known(name):
    known = ", ".join(one.name for one in RELEASES)
    with pytest.raises(
        UserError, match=re.escape(f"no release {name!r} of Triton's container") + f".* one of {known}$"
    ):
        find_release(name)


def test_a_version_of_tensorrt_needs_a_source():
    with pytest.raises(ValueError, match="TensorRT of 30.01 and its source go together"):
        Release("30.01", "9.0.0", "", "2.0.0", "20.0.0")
    with pytest.raises(ValueError, match="go together"):
        Release("30.01", "9.0.0", "", "2.0.0", "", "contents")


def test_the_option_for_large_requests_is_only_for_releases_that_have_it():
    assert [one.limits_input for one in map(find_release, ("25.05", "25.06", "26.08"))] == [False, True, True]
