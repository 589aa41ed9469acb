"""Graphs of single layers that are timed, and the order of their turns."""

import math

import numpy as np
import pytest

from spair.calibration import speed
from spair.calibration.conversion.layers import SIDE, element_counts
from spair.calibration.speed import time_in_turn
from tests.calibration.conversion.graphs import open_session


@pytest.mark.parametrize("tile", [SIDE, 2 * SIDE])
def test_a_lone_layer_computes_on_the_tile_what_it_does_in_the_network(network, tile):
    """Compare numbers of elements, which grow with the area of the tile."""
    for layer in network.layers:
        sizes = element_counts(network.models[layer.part])
        source, output = layer.uses[0].source, layer.uses[0].node
        if source not in sizes or len(layer.shape) != 4:
            continue
        model, feeds = speed._lone_model(network, layer, sizes, tile, 0.4)
        assert feeds[source].size * SIDE**2 == sizes[source] * tile**2, layer.name
        result = open_session(model).run(None, feeds)[0]
        assert result.size * SIDE**2 == sizes[output] * tile**2 and result.any()


def test_a_sparse_layer_is_timed_under_a_mask_of_the_density(network):
    for layer in (layer for layer in network.layers if layer.uses[0].mask):
        use = layer.uses[0]
        _, feeds = speed._lone_model(network, layer, element_counts(network.models[layer.part]), SIDE, 0.25)
        mask = feeds[use.mask]
        assert set(np.unique(mask)) == {0.0, 1.0}
        assert abs(mask.mean() - 0.25) < 1 / math.isqrt(mask.size)
        assert feeds[use.source][..., mask[0, 0] == 0].any() == bool(use.radius)


def test_graphs_take_turns_and_times_are_in_their_order(monkeypatch):
    class Graph:
        def __init__(self, name: str) -> None:
            self.name = name

        def run(self, feeds):
            called.append((self.name, dict(feeds)))

    def take_turns(calls, repeats, warm_first):
        for call in calls.values():
            call()
        return {place: [0.001 * (place + 1), 0.5, 0.0005] for place in calls}

    called: list[tuple[str, dict]] = []
    monkeypatch.setattr(speed, "take_turns", take_turns)
    assert time_in_turn((Graph("a"), {"x": 1}), (Graph("b"), None)) == [1.0, 2.0]
    assert called == [("a", {"x": 1}), ("b", {})]
