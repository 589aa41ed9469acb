"""Descriptions of networks survive JSON and refuse sizes that no network has."""

import dataclasses
import json

import pytest

from spair.runtime.tiling.spec import ForeignNetwork, SpairNetwork, network_from_json, spair_network

HALOS = {"halo_l": 80, "halo_r": 42}
SPAIR = SpairNetwork(**HALOS, multiple=16, scales=(0, 1, 2, 3), channels=(8, 16, 32, 64), work=(0.5, 0.25, 0.2, 0.05))


@pytest.mark.parametrize("network", [SPAIR, SpairNetwork(0, 0), ForeignNetwork(4, 3), ForeignNetwork()], ids=str)
def test_a_description_comes_back_from_json(network):
    text = json.dumps(dataclasses.asdict(network))
    assert network_from_json(type(network), json.loads(text)) == network


def test_unknown_keys_are_left_out_and_missing_ones_named():
    assert spair_network({**HALOS, "colour": "green", "has_mask": False}) == SpairNetwork(**HALOS)
    with pytest.raises(TypeError, match="halo_r"):
        spair_network({"halo_l": 1})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"halo_l": -1}, "halos must be >= 0"),
        ({"halo_r": -1}, "halos must be >= 0"),
        ({"multiple": 0}, "multiple and grid >= 1"),
        ({"grid": 0}, "multiple and grid >= 1"),
        ({"eps": 0.0}, "eps > 0"),
        ({"crossover": -0.01}, "crossover must be a number from 0 to 10, got -0.01"),
        ({"crossover": 10.01}, "from 0 to 10"),
        ({"crossover": float("nan")}, "from 0 to 10, got nan"),
        ({"crossover": "0.5"}, "from 0 to 10, got '0.5'"),
        ({"multiple": 6}, r"2\*\*scale must divide 6"),
        ({"modulated": (1, 3)}, r"scales must include \[1, 2, 3\]"),
        ({"key_scale": 4}, r"scales must include \[1, 2, 4\]"),
        ({"work": (0.5, 0.5)}, "a share for each of the scales"),
        ({"work": (1.2, -0.2, 0.0)}, "a share for each of the scales"),
        ({"work": (0.5, 0.3, 0.1)}, "with the sum 1"),
    ],
    ids=str,
)
def test_sizes_of_no_network_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        SpairNetwork(**{**HALOS, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"halo_l": 0, "halo_r": 0},
        {"multiple": 4},
        {"grid": 1},
        {"crossover": 0},
        {"crossover": 10},
        {"work": (1 / 3, 1 / 3, 1 / 3)},
        {"work": (0.6004, 0.3, 0.1)},
        {"scales": (0,), "modulated": (), "key_scale": 0, "work": (1.0,), "multiple": 1},
    ],
    ids=str,
)
def test_sizes_at_the_limits_are_taken(changes):
    network = SpairNetwork(**{**HALOS, **changes})
    assert {name: getattr(network, name) for name in changes} == changes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"multiple": 0}, "multiple must be >= 1, halo and align >= 0"),
        ({"halo": -1}, "multiple must be >= 1, halo and align >= 0"),
        ({"reach": "far"}, "reach must be local or whole"),
        ({"colour": "red"}, "colour channels or luma"),
        ({"picture_channels": 4}, "picture_channels must be 1 or 3"),
        ({"scale": 0}, "scale 1 to 16"),
        ({"sizes": ((0, 8),)}, "sizes positive"),
        ({"bytes_per_pixel": -1.0}, "memory and tile_error must be >= 0"),
    ],
    ids=str,
)
def test_foreign_networks_have_positive_sizes_too(wrong, message):
    with pytest.raises(ValueError, match=message):
        ForeignNetwork(**wrong)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"halo_l": 10**6}, "halo_l must be a whole number of at most 4096"),
        ({"halo_r": 8.0}, "halo_r must be a whole number"),
        ({"multiple": 2**20}, "multiple must be a whole number of at most 4096"),
        ({"grid": 10**5}, "grid must be a whole number of at most 1024"),
        ({"grid": True}, "grid must be a whole number"),
        ({"scales": (0, 1, 2, 10**9)}, "scales must be at most 8 whole numbers from 0 to 7"),
        ({"scales": tuple(range(9))}, "scales must be at most 8"),
        ({"scales": ("0", 1, 2)}, "scales must be"),
        ({"modulated": 3}, "modulated must be"),
        ({"key_scale": 10**9}, "key_scale must be"),
        ({"channels": (-1, 2, 3)}, "channels must be"),
        ({"eps": "small"}, "eps must be a number"),
        ({"eps": float("nan")}, "eps must be a number"),
        ({"mask_threshold": 1.5}, "mask_threshold must be a number between 0 and 1"),
        ({"gate_output": "yes"}, "gate_output must be true or false"),
        ({"work": (1.0, "0", 0.0)}, "work must be"),
    ],
)
def test_numbers_of_a_network_are_bounded_before_they_are_used(changes, words):
    with pytest.raises(ValueError, match=words):
        SpairNetwork(**{"halo_l": 8, "halo_r": 8, **changes})


@pytest.mark.parametrize("changes", [{"multiple": 10**6}, {"halo": 10**6}, {"halo": "3"}])
def test_numbers_of_a_foreign_network_are_bounded(changes):
    with pytest.raises(ValueError, match="must be a whole number of at most 4096"):
        ForeignNetwork(**changes)
