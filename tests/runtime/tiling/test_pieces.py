"""Pieces cover a picture with windows that a network takes."""

import numpy as np
import pytest

from spair.runtime.tiling.pieces import cut_pieces
from spair.runtime.tiling.spec import WHOLE_PICTURE, ForeignNetwork


def cover(pieces):
    """Count how often each pixel lies in a core, and sum the weights of each."""
    counts, sums = np.zeros(pieces.padded), np.zeros(pieces.padded)
    for tile, weight in zip(pieces.tiles, pieces.weights(1), strict=True):
        tile.core.view(counts)[...] += 1
        tile.window.view(sums)[...] += weight
    return counts, sums


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (64, 64), (129, 257)], ids=str)
@pytest.mark.parametrize(
    "spec",
    [
        ForeignNetwork(halo=3),
        ForeignNetwork(halo=20, align=8),
        ForeignNetwork(sizes=((64, 48), (32, 96)), halo=6),
        ForeignNetwork(sizes=((64, 64),), halo=16, align=12),
        ForeignNetwork(sizes=((24, 24),), halo=4096),
    ],
    ids=str,
)
def test_cores_partition_a_picture_and_weights_sum_to_one(spec, size):
    pieces = cut_pieces(spec, *size, 50)
    counts, sums = cover(pieces)
    assert (counts == 1).all() and np.allclose(sums, 1, atol=1e-6)
    assert pieces.padded[0] >= size[0] and pieces.padded[1] >= size[1]
    for tile in pieces.tiles:
        assert tile.window.top % (spec.align or 1) == tile.window.left % (spec.align or 1) == 0
        if spec.sizes:
            assert (tile.window.height, tile.window.width) in spec.sizes


def test_the_smallest_listed_size_that_holds_a_picture_is_taken():
    spec = ForeignNetwork(sizes=((64, 64), (32, 96), (32, 32)))
    assert [cut_pieces(spec, *size, 1).padded for size in ((30, 30), (32, 33), (33, 60))] == [
        (32, 32),
        (32, 96),
        (64, 64),
    ]


def test_weights_of_an_enlarged_picture_sum_to_one():
    pieces = cut_pieces(ForeignNetwork(halo=2, scale=3), 40, 70, 16)
    sums = np.zeros((120, 210))
    for tile, weight in zip(pieces.tiles, pieces.weights(3), strict=True):
        window = tile.window
        sums[3 * window.top : 3 * window.bottom, 3 * window.left : 3 * window.right] += weight
    assert np.allclose(sums, 1, atol=1e-6)


SPEC = ForeignNetwork(halo=64, reach="whole", tile_error=12.5, bytes_per_pixel=1000.0)


def test_pixels_that_fit_use_the_memory():
    pairs = ForeignNetwork(bytes_per_pixel=100.0, bytes_per_pair=0.5)
    for spec in (SPEC, pairs):
        pixels = spec.fit_pixels(10**8)
        assert spec.estimate_bytes(pixels) <= 10**8 < spec.estimate_bytes(pixels + 1) + 1
    assert ForeignNetwork().fit_pixels(10**9) == 0


def test_only_a_network_that_sees_everything_gets_pictures_whole():
    assert SPEC.default_tile == WHOLE_PICTURE and ForeignNetwork().default_tile == 512
    assert len(cut_pieces(SPEC, 3000, 4000, SPEC.default_tile).tiles) == 1
