"""Steps have the tiles of the kernels that their launches run."""

from dataclasses import replace

import pytest

from benchmarks.estimates.counted import Tile
from benchmarks.estimates.launches import ScaledMasks
from benchmarks.estimates.steps import list_steps, name_kernel
from benchmarks.subjects.layers import Attention, Compose, Index, Modulation, SparseLayer

MASKS = ScaledMasks("blob", 96, 128, 0.25, 16)
LAYER = SparseLayer(0, 11, 100, 3, clean_input=True, residual=False, clear_output=True, listed=True)
TILES = {
    "convolve_layer.fp16.fp16.fp16.k3.c11.d100": Tile(1000.0, 64, 64),
    "sparse_conv2d.fp16.fp16.fp16.k3.c11.d100": Tile(4000.0, 64, 64),
    "compact_mask.fp16": Tile(50.0, 1024, 1),
    "compact_neighbours.fp16.k3": Tile(60.0, 1024, 1),
    "masked_moments.fp16.pixels": Tile(70.0, 64, 32),
    "apply_affine.fp16.pixels.pixels": Tile(80.0, 64, 32),
    "merge_moments": Tile(10.0, 256, 1, 5.0),
    "sparse_non_local.fp16.pixels.b32": Tile(9000.0, 64, 32),
    "compose_pixels.fp32.fp16.fp32.pixels": Tile(90.0, 256, 4),
}


def list_tiles(operator, tiles=TILES):
    """Return (name, tiles, instructions of a tile) of each launch."""
    steps = list_steps([operator], MASKS, "fp16", tiles)
    return [(step.launch.name, step.blocks, step.instructions) for step in steps]


def test_a_layer_has_tiles_of_active_pixels_and_outputs():
    active = sum(MASKS.activity(0).active)
    tiles = -(-active // 64) * 2
    assert list_tiles(LAYER) == [("clear", 0, 0.0), ("sparse_conv2d", tiles, 1000.0)]
    (_, step) = list_steps([LAYER], MASKS, "fp16", TILES)
    assert step.products * tiles == step.launch.products


def test_a_layer_without_a_kernel_of_its_own_runs_in_the_general_one_and_lists_its_pixels():
    first = SparseLayer(0, 11, 100, 3, clean_input=True, residual=False, clear_output=True)
    general = {name: tile for name, tile in TILES.items() if not name.startswith("convolve_layer")}
    assert [row for row in list_tiles(first, general) if row[1]] == [
        ("compact_mask", 12, 50.0),
        ("sparse_conv2d", -(-sum(MASKS.activity(0).active) // 64) * 2, 4000.0),
    ]


def test_other_operators_have_their_own():
    assert list_tiles(Index(1)) == [("clear", 0, 0.0), ("compact_neighbours", 3, 60.0)]
    active = -(-sum(MASKS.activity(2).active) // 64)
    assert list_tiles(Attention(2, 32, 32, False, True)) == [("sparse_non_local", active, 9000.0)]
    assert list_tiles(Modulation(1, 40)) == [
        ("masked_moments", 48 * 2, 70.0),
        ("merge_moments", 40, 10.0 + 1 * 5.0),  # 48 blocks are one turn
        ("apply_affine", 48 * 2, 80.0),
    ]
    assert list_tiles(Compose(0, 3)) == [("compose_pixels", 48, 90.0)]  # every pixel, whatever the mask


def test_a_kernel_that_was_not_counted_is_named():
    with pytest.raises(KeyError, match="convolve_layer.fp16.int8.fp16.k3.c11.d100"):
        list(list_steps([LAYER], MASKS, "int8", TILES))


def test_a_converted_layer_has_the_kernel_of_its_own_types():
    fed = replace(LAYER, types=("int8", "int8", "fp16"), gives="both")
    assert name_kernel(fed, "sparse_conv2d", "int8") == "convolve_layer.int8.int8.fp16.k3.c11.d100.to_both"
    kept = replace(LAYER, types=("fp16", "fp16", "fp16"))
    (_, step) = list_steps([kept], MASKS, "int8", TILES)
    assert (step.instructions, step.launch.kind) == (1000.0, "fp16")


def test_names_are_those_of_the_library():
    coarse = SparseLayer(0, 48, 48, 1, False, True, False, listed=True, coarse=True)
    assert name_kernel(coarse, "sparse_conv2d", "int8") == "convolve_layer.fp16.int8.fp16.k1.c48.d48.up"
    assert name_kernel(coarse, "clear", "int8") is None
    assert (
        name_kernel(replace(LAYER, joined=3), "sparse_conv2d", "fp16") == "convolve_layer.fp16.fp16.fp16.k3.c11.d100.j3"
    )
    assert name_kernel(Compose(0, 3), "compose_pixels", "fp32") == "compose_pixels.fp32.fp32.fp32.pixels"
