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


@pytest.mark.parametrize("wrong", [{"multiple": 0}, {"halo": -1}], ids=str)
def test_foreign_networks_have_positive_sizes_too(wrong):
    with pytest.raises(ValueError, match="multiple must be >= 1 and halo >= 0"):
        ForeignNetwork(**wrong)
