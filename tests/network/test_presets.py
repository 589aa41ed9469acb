"""Sizes that presets allow, and their JSON."""

import dataclasses
import json

import pytest

from spair.network import PRESETS, TINY, CheckpointError, Preset, find_preset
from spair.network.presets import MAX_COUNT

COUNTS = ("detail_channels", "attention_channels", "grid")
TRIPLES = ("local_channels", "channels", "pairs")


@pytest.mark.parametrize("name", PRESETS)
def test_a_named_preset_is_found_and_survives_json(name):
    preset = find_preset(name)
    assert preset.name == name
    again = Preset.from_json(preset.to_json())
    assert again == preset and hash(again) == hash(preset)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(CheckpointError, match="no preset 'huge'; choose one of tiny, base, large"):
        find_preset("huge")


def test_presets_differ_and_each_field_shows_in_the_json():
    texts = {preset.to_json() for preset in PRESETS.values()}
    assert len(texts) == len(PRESETS)
    for change in ({"name": "x"}, {"gate_output": False}, {"mask_threshold": 0.5}, {"pairs": (2, 2, 3)}, {"grid": 8}):
        changed = dataclasses.replace(TINY, **change)
        assert changed.to_json() != TINY.to_json()
        assert Preset.from_json(changed.to_json()) == changed


def test_the_json_has_one_form_whatever_order_it_is_read_in():
    entries = json.loads(TINY.to_json())
    assert list(entries) == sorted(entries)
    assert Preset.from_json(json.dumps(dict(reversed(entries.items())))).to_json() == TINY.to_json()


@pytest.mark.parametrize("text", ["{", "[]", "null", "{}", '{"name": "x", "colour": 1}', '{"name": "x", "grid": 0}'])
def test_an_unreadable_preset_is_refused(text):
    with pytest.raises(CheckpointError, match="preset"):
        Preset.from_json(text)


@pytest.mark.parametrize("field", [*COUNTS, *TRIPLES])
def test_counts_go_from_one_to_the_largest(field):
    """Take both ends and refuse what lies beyond, so that damaged metadata cannot exhaust the memory."""

    def replace(count: int) -> Preset:
        return dataclasses.replace(TINY, **{field: (2, count, 2) if field in TRIPLES else count})

    for count in (1, MAX_COUNT):
        assert getattr(replace(count), field) in (count, (2, count, 2))
    for count in (0, -1, MAX_COUNT + 1):
        with pytest.raises(CheckpointError, match=rf"preset 'tiny' has {field} .*{count}.* positive count"):
            replace(count)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_threshold_lies_inside_of_zero_and_one(threshold):
    with pytest.raises(CheckpointError, match=r"mask_threshold .*; it must lie in \(0, 1\)"):
        dataclasses.replace(TINY, mask_threshold=threshold)
    assert dataclasses.replace(TINY, mask_threshold=2.0**-20).mask_threshold == 2.0**-20
