"""Estimates from what builds took before."""

from __future__ import annotations

import dataclasses

import pytest

from spair.export.engines.estimate import BuildTimes, Estimate, name_build
from spair.runtime.bundle.engine_key import EngineKey

KEY = EngineKey(
    "local", "fp16", "model", "a", "b", "tensorrt", "10.3", "x86_64", (89,), {"level": 3}, "NVIDIA L4", "12.6"
)
OTHER = dataclasses.replace(KEY, part="net_l")


def test_earlier_builds_are_kept_from_run_to_run(tmp_path):
    file = tmp_path / "cache" / "times.json"
    BuildTimes(file).keep(name_build(KEY), 100.0)
    BuildTimes(file).keep("plugins: sm_89", 40.0)
    times = BuildTimes(file)
    assert times.find("plugins: sm_89") == 40.0 and times.find("plugins: sm_90") is None
    assert times.estimate([KEY, OTHER], 1) == Estimate(2, 1, 1, 100.0)
    times.keep(name_build(OTHER), 20.5)
    assert times.estimate([KEY, OTHER], 0) == Estimate(2, 0, 2, 120.5)


@pytest.mark.parametrize(
    "change",
    [
        {"device": "NVIDIA L40"},
        {"version": "10.9"},
        {"precision": "fp32"},
        {"part": "net_r"},
        {"options": {"level": 5}},
    ],
)
def test_builds_of_another_kind_say_nothing(tmp_path, change):
    times = BuildTimes(tmp_path / "times.json")
    times.keep(name_build(KEY), 100.0)
    assert times.estimate([dataclasses.replace(KEY, **change)], 0).measured == 0
    assert times.estimate([dataclasses.replace(KEY, graph="c", library="d")], 0).measured == 1


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": "b"}', '{"a": null}'])
def test_a_damaged_file_counts_as_empty(tmp_path, text):
    (tmp_path / "times.json").write_text(text)
    times = BuildTimes(tmp_path / "times.json")
    assert times.estimate([KEY], 0).measured == 0
    times.keep(name_build(KEY), 3.0)
    assert BuildTimes(tmp_path / "times.json").estimate([KEY], 0).seconds == 3.0


def test_without_a_file_nothing_is_kept():
    times = BuildTimes(None)
    times.keep(name_build(KEY), 3.0)
    assert times.estimate([KEY], 0) == Estimate(1, 0, 0, 0)


@pytest.mark.parametrize(
    ("estimate", "words", "seconds"),
    [
        (Estimate(0, 3, 0, 0.0), "0 engines to build, 3 from the cache", None),
        (Estimate(3, 0, 0, 0.0), "3 engines to build, 0 from the cache; no engine was built here .* not known", None),
        (Estimate(3, 1, 3, 80.0), "; 80 s by earlier builds of 3 of them here", 80.0),
        (Estimate(3, 0, 2, 620.4), "; at least 10 min by earlier builds of 2 of them here", 620.4),
    ],
)  # fmt: skip
def test_the_sentence_says_what_it_is_from(estimate, words, seconds):
    import re

    assert re.search(f"{words}$", str(estimate))
    assert estimate.to_json()["seconds"] == seconds
